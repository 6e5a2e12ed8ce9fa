package why

import (
	"fmt"
	"strconv"
	"strings"
)

// Path leads to a field. A part is a key of a mapping, or of a list the element's index, the value of its name, or of
// what else tells elements apart; "--port" finds the argument "--port=80".
type Path []string

func (p Path) String() string {
	var b strings.Builder
	for i, part := range p {
		switch {
		case strings.ContainsAny(part, "./[]") || i > 0 && part[:min(1, len(part))] == "-":
			b.WriteString("[" + part + "]")
		case i > 0:
			b.WriteString("." + part)
		default:
			b.WriteString(part)
		}
	}
	return b.String()
}

// ParsePath reads spec.template.spec.containers[server].image. A dot before it, quotes, and the key before an
// element's value, as the API server and davit drift write them ([name="server"]), may be there; \. is a dot in a key.
func ParsePath(s string) (Path, error) {
	var p Path
	rest := strings.TrimPrefix(s, ".")
	for rest != "" {
		if rest[0] == '[' {
			inside, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, fmt.Errorf("field %q: [ without ]", s)
			}
			if key, value, ok := strings.Cut(inside, "="); ok && strings.HasPrefix(value, `"`) && key != "" {
				inside = value
			}
			p, rest = append(p, strings.Trim(inside, `"'`)), strings.TrimPrefix(after, ".")
			continue
		}
		end := 0
		for end < len(rest) && rest[end] != '.' && rest[end] != '[' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(rest))
		if end == 0 {
			return nil, fmt.Errorf("field %q: a part is empty", s)
		}
		p = append(p, strings.ReplaceAll(rest[:end], `\`, ""))
		rest = strings.TrimPrefix(rest[end:], ".")
	}
	return p, nil
}

// in is the value at the path; false when there is none.
func (p Path) in(v any) (any, bool) {
	for _, part := range p {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i := element(at, part)
			if i < 0 {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// keys tell the elements of Kubernetes' lists apart.
var keys = []string{"name", "mountPath", "devicePath", "containerPort", "port", "type", "key", "ip", "topologyKey"}

func element(list []any, part string) int {
	for i, e := range list {
		switch e := e.(type) {
		case map[string]any:
			for _, key := range keys {
				if v, ok := e[key]; ok && fmt.Sprint(v) == part {
					return i
				}
			}
		case string:
			if e == part || strings.HasPrefix(e, part+"=") {
				return i
			}
		}
	}
	if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(list) {
		return i
	}
	return -1
}
