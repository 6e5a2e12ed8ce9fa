package registry

import "testing"

// TestOlder: names that count tell which came first, and no others do.
func TestOlder(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"v1", "v2"}, {"v9", "v10"}, {"v1", "v1.1"}, {"v1.9", "v1.10"}, {"2026-01-02", "2026-01-10"}, {"v20261124", "v20261201"}, {"20261124-2", "20261124-3"},
		{"large-v1", "large-v2"}, {"v2-rc1", "v2-rc2"}, {"v01", "v2"},
	} {
		if !Older(c.a, c.b) || Older(c.b, c.a) || Older(c.a, c.a) {
			t.Errorf("%s is not told to be older than %s", c.a, c.b)
		}
	}
	for _, c := range []struct{ a, b string }{
		{"large-v1", "base-v2"}, {"softmax-153019b1", "softmax-2a44c0d7"}, {"v2-rc1", "v2"}, {"v1", "v1a"}, {"blue", "green"}, {"v1", "2"}, {"", "v1"}, {"v01", "v1"},
	} {
		if Older(c.a, c.b) || Older(c.b, c.a) {
			t.Errorf("which of %s and %s is older can't be told", c.a, c.b)
		}
	}
}
