package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// TestWhoIsBelieved: what says who users are is whole, or is refused with what it lacks; a page that nobody is told apart on is
// on loopback.
func TestWhoIsBelieved(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short, long := file("short", "c2hvcnQ="), file("long", strings.Repeat("A", 43)+"=\n")
	oidc := "--ui-oidc-issuer=https://id.example.com --ui-oidc-client-id=davit --ui-url=https://davit.example.com "
	for flags, want := range map[string]string{
		"--ui=127.0.0.1:0":   "",
		"--ui=[::1]:0":       "",
		"--ui=localhost:0":   "",
		"--ui=:8443":         "can be reached from elsewhere, and nothing says who may see what",
		"--ui=10.0.0.1:8443": "can be reached from elsewhere",
		"--ui=127.0.0.1":     "is not an address",
		"--ui=:8443 --ui-user-header=X-User --ui-proxy=10.0.3.7,10.0.4.0/24":                    "",
		"--ui=:8443 --ui-user-header=X-User":                                                    "--ui-user-header needs --ui-proxy",
		"--ui=:8443 --ui-user-header=X-User --ui-proxy=proxy":                                   `--ui-proxy "proxy" is no address`,
		"--ui=:8443 --ui-proxy=10.0.3.7":                                                        "of no use without --ui-user-header",
		"--ui=:8443 --ui-groups-header=X-Groups":                                                "of no use without --ui-user-header",
		"--ui=:8443 --ui-oidc-client-id=davit":                                                  "of no use without --ui-oidc-issuer",
		"--ui=:8443 --ui-user-header=X-User --ui-proxy=10.0.3.7 " + oidc:                        "exclude each other",
		"--ui=:8443 " + oidc:                                                                    "",
		"--ui=:8443 " + oidc + "--ui-session-key-file=" + long:                                  "",
		"--ui=:8443 " + oidc + "--ui-session-key-file=" + short:                                 "has no 32 bytes in base64",
		"--ui=:8443 " + oidc + "--ui-session-key-file=" + dir + "/none":                         "reading the key of sessions",
		"--ui=:8443 " + oidc + "--ui-oidc-client-secret-file=" + dir + "/no":                    "reading the secret of the OpenID client",
		"--ui=:8443 --ui-oidc-issuer=https://id.example.com --ui-url=https://davit.example.com": "a client id",
		"--ui=:8443 --ui-oidc-issuer=https://id.example.com --ui-oidc-client-id=davit":          "is not where users reach the page",
	} {
		o := &uiOptions{}
		f := pflag.NewFlagSet("davit", pflag.ContinueOnError)
		o.flags(f)
		o.access.flags(f)
		if err := f.Parse(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		access, err := o.access.open(fleet.New(fleet.Config{}))
		if err == nil && access == nil {
			err = loopback(o.listen)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
		if err != nil && !errors.As(err, new(usage)) && !strings.HasPrefix(want, "reading") {
			t.Errorf("%s: %v is a fault of usage", flags, err)
		}
	}
}

// TestNoPage: the last --ui counts, and one of nothing is none.
func TestNoPage(t *testing.T) {
	for flags, want := range map[string]string{"": "", "--ui": uiAddress, "--ui=127.0.0.1:8090 --ui=": "", "--ui=127.0.0.1:8090 --ui=:8443": ":8443"} {
		o := &uiOptions{}
		f := pflag.NewFlagSet("davit", pflag.ContinueOnError)
		o.flags(f)
		if err := f.Parse(strings.Fields(flags)); err != nil || o.listen != want {
			t.Errorf("%s: %q %v, want %q", flags, o.listen, err, want)
		}
	}
}

// TestLeaderIsSaid: where the leader is reached takes a Service and an address.
func TestLeaderIsSaid(t *testing.T) {
	for _, o := range []leaderOptions{{"davit-leader", ""}, {"", "10.0.3.7"}, {"davit-leader", "pod"}} {
		if _, err := o.where("davit"); !errors.As(err, new(usage)) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	o := leaderOptions{"davit-leader", "10.0.3.7"}
	r, err := o.where("davit")
	if err != nil || r.Namespace != "davit" || r.Service != "davit-leader" || r.Address.String() != "10.0.3.7" {
		t.Errorf("%+v %v", r, err)
	}
}
