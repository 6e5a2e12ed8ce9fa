package render

import (
	"fmt"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// endless is a quantity whose exponent an API server would work out for minutes and more, whoever asks: 1e1000000 has a
// million digits.
var endless = regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]*[eE][+-]?[0-9]{3,}$`)

// checkQuantities refuses quantities that an API server could not read in time.
func checkQuantities(o *unstructured.Unstructured, file string) error {
	if found := endlessIn(o.Object, nil); len(found) > 0 {
		return fmt.Errorf("%s:1: %s %s has %s; an API server takes minutes to read such an exponent, so write the number out", file, o.GetKind(), o.GetName(), slices.Min(found))
	}
	return nil
}

// endlessIn adds such quantities, each with its field, to those found. It passes over fields whose values, and what is below
// them, are no quantities: a commit's hash may look like one.
func endlessIn(v any, found []string) []string {
	switch v := v.(type) {
	case object:
		_, hasName := v["name"]
		_, hasKey := v["key"]
		for key, below := range v {
			switch key {
			case "metadata", "name", "selector", "nodeSelector", "matchLabels", "values", "args", "command", "data", "stringData", "binaryData":
				continue
			case "value":
				if hasName || hasKey { // of a variable, a header, a toleration
					continue
				}
			}
			switch below := below.(type) {
			case string:
				if below != "" && below[0] <= '9' && endless.MatchString(below) {
					found = append(found, fmt.Sprintf("%s: %q", key, below))
				}
			case object, []any:
				found = endlessIn(below, found)
			}
		}
	case []any:
		for _, item := range v {
			found = endlessIn(item, found)
		}
	}
	return found
}
