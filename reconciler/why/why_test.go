package why

import (
	"slices"
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	object := map[string]any{"spec": map[string]any{
		"containers": []any{
			map[string]any{"name": "proxy"},
			map[string]any{"name": "server", "args": []any{"--port=80", "-v"}, "ports": []any{map[string]any{"containerPort": int64(80), "name": "http"}}},
		},
		"labels": map[string]any{"davit.dev/version": "v1"},
	}}
	for text, want := range map[string]any{
		"spec.containers[server].args[--port]":               "--port=80",
		`.spec.containers[name="server"].args[0]`:            "--port=80",
		"spec.containers[1].args.-v":                         "-v",
		"spec.containers.server.ports[containerPort=\"80\"]": map[string]any{"containerPort": int64(80), "name": "http"},
		"spec.containers[server].ports[80].name":             "http",
		"spec.labels[davit.dev/version]":                     "v1",
		`spec.labels.davit\.dev/version`:                     "v1",
		"spec.containers[server].args[2]":                    nil,
		"spec.containers[other]":                             nil,
		"spec.labels.davit":                                  nil,
		"spec.labels[davit.dev/version].more":                nil,
	} {
		p, err := ParsePath(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, ok := p.in(object)
		if ok != (want != nil) || value(got) != value(want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		again, err := ParsePath(p.String())
		if err != nil || !slices.Equal(again, p) {
			t.Errorf("%s is printed as %s, which is read as %q, %v", text, p, again, err)
		}
	}
	for _, text := range []string{"spec[x", "a..b"} {
		if p, err := ParsePath(text); err == nil {
			t.Errorf("%s: %q, want an error", text, p)
		}
	}
}

func value(v any) string {
	if m, ok := v.(map[string]any); ok {
		return "mapping " + m["name"].(string)
	}
	s, _ := v.(string)
	return s
}

func TestObjectKind(t *testing.T) {
	for word, want := range map[string]bool{
		"deployment": true, "Deployments": true, "deploy": true, "deployment.apps": true, "deploy.apps": true, "deployments.v1.apps": true,
		"deployment.extensions": false, "service": false, "deploymen": false,
	} {
		o, err := ParseObject(word + "/iris")
		if err != nil || o.IsKind("Deployment", "apps") != want {
			t.Errorf("%s: %v, want %v", word, !want, want)
		}
	}
	for word, kind := range map[string]string{"ingresses": "Ingress", "netpol": "NetworkPolicy", "networkpolicies": "NetworkPolicy", "httproutes": "HTTPRoute"} {
		if !(Object{Kind: word}).IsKind(kind, "x") {
			t.Errorf("%s is not %s", word, kind)
		}
	}
	if !(Object{Kind: "svc"}).IsKind("Service", "") || (Object{Kind: "svc", Group: "apps"}).IsKind("Service", "") {
		t.Error("a kind of the core group")
	}
}

func TestLastingName(t *testing.T) {
	for _, c := range []struct{ kind, name, rollout, want string }{
		{"Deployment", "iris-bcdfghjklm", "bcdfghjklm", "iris"},
		{"ConfigMap", "iris-settings-bcdfghjklm-5h24ck9tmg", "bcdfghjklm", "iris-settings"},
		{"ConfigMap", "iris-settings", "", "iris-settings"},
		{"Deployment", "iris-5h24ck9tmg", "", "iris-5h24ck9tmg"},
	} {
		if got := lasting(c.kind, c.name, c.rollout); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.kind, c.name, got, c.want)
		}
	}
}

// TestHunks holds what a hunk undoes and does against the whole contents, and the places of lines against their text.
func TestHunks(t *testing.T) {
	lines := func(s string) string { return strings.Join(strings.Split(s, ""), "\n") + "\n" }
	for _, c := range []struct {
		old, new string
		n        int
	}{
		{"abcdef", "abXdef", 1}, {"abcdefghijklmn", "Xbcdefghijklmn", 1}, {"abcdefghijklmn", "abcdefghijklmnX", 1},
		{"abcdefghijklmn", "aXbcdefghjklmn", 2}, {"abc", "abc", 0}, {"abcdefghijklmnopqrstuvwxyz", "bcdXefghijklmnopqrSTstuvwxy", 4},
		{"a", "b", 1},
	} {
		old, new := lines(c.old), lines(c.new)
		all := hunks("file", []byte(old), []byte(new))
		if len(all) != c.n {
			t.Errorf("%s to %s: %d hunks, want %d: %+v", c.old, c.new, len(all), c.n, all)
		}
		back, on := []byte(new), []byte(old)
		for _, h := range slices.Backward(all) {
			back, on = h.undo(back), h.do(on)
		}
		if string(back) != old || string(on) != new {
			t.Errorf("%s to %s: undone %q, done %q", c.old, c.new, back, on)
		}
		for n := 1; n <= len(c.old); n++ {
			if at := forward(all, n); at > 0 && (lineOf([]byte(new), at) != lineOf([]byte(old), n) || backward(all, at) != n) {
				t.Errorf("%s to %s: line %d is said to be line %d", c.old, c.new, n, at)
			}
		}
	}
	if all := hunks("file", []byte("a\nb"), []byte("a\nc")); len(all) != 1 || strings.Join(all[0].came, "") != "c" && strings.Join(all[0].came, "") != "c\n" {
		t.Errorf("without a newline at the end: %+v", all)
	}
}
