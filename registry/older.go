package registry

import (
	"regexp"
	"strings"
)

// Older says that a version's name tells that it came before another one: v9 before v10, 2026-01-02 before 2026-01-10, v1
// before v1.1. It is false where names do not tell: those that runs make have a hash.
func Older(a, b string) bool {
	for a != "" && b != "" {
		x, y := part(a), part(b)
		a, b = a[len(x):], b[len(y):]
		if x == y {
			continue
		}
		m, n := numbered.FindStringSubmatch(x), numbered.FindStringSubmatch(y)
		if m == nil || n == nil || m[1] != n[1] {
			return false
		}
		p, q := strings.TrimLeft(m[2], "0"), strings.TrimLeft(n[2], "0")
		if p != q {
			return len(p) < len(q) || len(p) == len(q) && p < q
		}
	}
	return a == "" && strings.HasPrefix(b, ".")
}

// numbered is a part of a name that counts: v10, rc1, 07.
var numbered = regexp.MustCompile(`^([a-zA-Z]*)([0-9]+)$`)

// part is what a name begins with: up to its first sign that is no letter or digit, or that sign.
func part(name string) string {
	switch i := strings.IndexAny(name, ".-_+"); {
	case i < 0:
		return name
	case i == 0:
		return name[:1]
	default:
		return name[:i]
	}
}
