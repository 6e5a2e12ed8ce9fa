package web

import "testing"

// TestLink leads nowhere but to pages: where a proposal is comes from a ModelRelease, which others can write.
func TestLink(t *testing.T) {
	for text, want := range map[string]string{
		"https://git.example.com/pulls/1": "https://git.example.com/pulls/1", "http://git.example.com/": "http://git.example.com/",
		"javascript:alert(1)": "", "JaVaScRiPt://x/%0aalert(1)": "", "data:text/html,x": "", "davit/revert/staging/iris": "", "//evil.example.com": "", "https:": "", "": "",
	} {
		if got := link(text); got != want {
			t.Errorf("link(%q) is %q, not %q", text, got, want)
		}
	}
}
