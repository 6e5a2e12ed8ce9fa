// Package docs_test writes the reference pages from the code, and holds the pages of this folder and README.md to what
// they name.
package docs_test

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the pages of reference anew")

// hold holds a page of the reference to what the code says; -update writes it.
func hold(t *testing.T, page, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(page); err != nil || string(have) != text {
		t.Errorf("%s is not what the code says (%v); go test ./deploy/docs -update", page, err)
	}
}
