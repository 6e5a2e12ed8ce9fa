package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkFiles holds an image's files to what davit needs, and runs davit with nothing else: no variable, no other program.
func checkFiles(t *testing.T, files map[string][]byte) {
	t.Helper()
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"]) {
		t.Error("the image has no CA certificates")
	}
	for _, folder := range []string{"tmp/", "var/lib/davit/"} {
		if _, ok := files[folder]; !ok {
			t.Errorf("the image lacks %s", folder)
		}
	}
	davit := filepath.Join(t.TempDir(), "davit")
	if err := os.WriteFile(davit, files["davit"], 0o755); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"v1.2.3":                               {"version"},
		"not in a pod: pass --namespace":       {"controller"},
		"DAVIT_PUBLISH is not set; davit sets": {"publish-run"},
	} {
		cmd := exec.Command(davit, args...)
		cmd.Dir, cmd.Env = t.TempDir(), []string{"ZONEINFO="}
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), want) {
			t.Errorf("davit %s in an empty environment said %q, want %q", args, out, want)
		}
	}
}
