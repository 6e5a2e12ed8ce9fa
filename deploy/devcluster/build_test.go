package devcluster

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestStandInsAreHashed(t *testing.T) {
	module := t.TempDir()
	hash := func() string {
		var hashed bytes.Buffer
		if err := hashStandIns(&hashed, module); err != nil {
			t.Fatal(err)
		}
		return hashed.String()
	}
	write := func(name, content string) {
		path := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module test")
	if got := hash(); got != "" {
		t.Errorf("a module with no sources of its own adds %q to its hash, so all that is built would be built again", got)
	}
	write("ext/ext.go", "package ext")
	before := hash()
	write("ext/ext.go", "package ext // changed")
	if hash() == before {
		t.Error("a changed stand-in leaves the hash as it was, so the old binary would be taken")
	}
}
