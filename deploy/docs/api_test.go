package docs_test

import (
	"testing"

	"github.com/davit-dev/davit/reconciler/web"
)

// TestAPIReference holds reference/api.md against the types that the web page's API answers with.
func TestAPIReference(t *testing.T) { hold(t, "reference/api.md", web.Reference()) }
