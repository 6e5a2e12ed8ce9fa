package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestHostile: what people write into commits, trainings and logs does nothing in a page, and what they hide is in none.
func TestHostile(t *testing.T) {
	w := look(t)
	told := 0
	for _, view := range looked {
		t.Run(view.name, func(t *testing.T) {
			body, status := w.get(t, "/"+name+view.path(t, w))
			if status != http.StatusOK {
				t.Fatalf("%d: %s", status, body)
			}
			page := string(body)
			if !strings.Contains(page, "<title>"+view.title) || !strings.Contains(page, " · "+name+" · davit</title>") {
				t.Errorf("the page is not called %q", view.title)
			}
			for _, alive := range []string{"<script>doc", "<img", "<b onclick", "\x1b", "open-sesame"} {
				if strings.Contains(page, alive) {
					t.Errorf("%q is in the page", alive)
				}
			}
			told += strings.Count(page, "&lt;script&gt;document.title")
		})
	}
	if told == 0 {
		t.Error("no page tells of the commit: the test sees nothing")
	}
	body, _ := w.get(t, "/api/v1/registries/"+name+"/trainings/iris/softmax/"+w.run(t))
	if text := string(body); strings.Contains(text, "open-sesame") || !strings.Contains(text, `"env PASSWORD"`) {
		t.Errorf("of variables the names are told, and no values: %s", text)
	}
}
