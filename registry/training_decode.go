package registry

import (
	"encoding/json"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (h *Hyperparameter) decodeNode(d *decoder, n *yaml.Node, field string) {
	if h.Arg.decodeNode(d, n, field); n.Kind == yaml.ScalarNode {
		h.JSON = jsonOf(n)
	}
}

// jsonOf writes a scalar in JSON, the way it stands there where JSON has that way too.
func jsonOf(n *yaml.Node) string {
	switch n.Tag {
	case "!!bool":
		return strconv.FormatBool(strings.EqualFold(n.Value, "true"))
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return n.Value
		}
		var value any // 0x10, 1_000 and .5, and what JSON has no number for: .inf
		if n.Decode(&value) == nil {
			if data, err := json.Marshal(value); err == nil {
				return string(data)
			}
		}
	}
	var text strings.Builder
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	if err := out.Encode(n.Value); err != nil { // a string
		panic(err)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// decodeNode takes numbers too, as Resources does.
func (q *Quantity) decodeNode(d *decoder, n *yaml.Node, field string) {
	if n.Kind != yaml.ScalarNode || !quantity.MatchString(n.Value) {
		d.fault(n, "%s: %q is not a quantity; write one such as 50Gi", field, n.Value)
		return
	}
	*q = Quantity(d.word(n.Value))
}
