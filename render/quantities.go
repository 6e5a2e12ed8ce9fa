package render

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// endless are quantities that an API server would work out for minutes and more, whoever asks: 1e1000000 has a million
// digits. White space around one is passed over (https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#Quantity.UnmarshalJSON).
var endless = regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]*[eE][+-]?[0-9]{3,}$|^[+-]?[0-9.]{100,}([eE][+-]?[0-9]+|[A-Za-z]{0,2})$`)

// checkQuantities refuses quantities that an API server could not read in time.
func checkQuantities(o *unstructured.Unstructured, file string) error {
	if found := endlessIn(o.Object, false, nil); len(found) > 0 {
		return fmt.Errorf("%s:1: %s %s has %s; an API server takes minutes to read such a number, so write it in fewer than 100 digits without the exponent", file, o.GetKind(), o.GetName(), slices.Min(found))
	}
	return nil
}

// endlessIn adds such quantities, each with its field, to those found. Maps of texts have none, nor do items of lists that
// are a name and its value, such as variables: a commit's hash there may look like one.
func endlessIn(fields object, item bool, found []string) []string {
	for key, v := range fields {
		switch v := v.(type) {
		case string:
			s := strings.TrimSpace(v)
			if s == "" || s[0] > '9' || !endless.MatchString(s) || item && key == "value" && (fields["name"] != nil || fields["key"] != nil) {
				continue
			}
			if len(s) > 60 {
				s = s[:60] + "…"
			}
			found = append(found, fmt.Sprintf("%s: %q", key, s))
		case object:
			switch key {
			case "labels", "annotations", "matchLabels", "selector", "nodeSelector", "data", "stringData", "binaryData":
			default:
				found = endlessIn(v, false, found)
			}
		case []any:
			for _, one := range v {
				if one, ok := one.(object); ok {
					found = endlessIn(one, true, found)
				}
			}
		}
	}
	return found
}
