package gitops

import (
	"regexp"
	"strings"
	"testing"
)

// planted is a credential that nothing may print.
const planted = "pl4nted-s3cret"

// FuzzRedact plants a credential where an address may have one, and looks for it in all that is printed of it.
func FuzzRedact(f *testing.F) {
	f.Add("https", "ada:", "", "git.example.com", "/ml/models.git")
	f.Add("HTTPS", "", ":x", "git.example.com:8443", "/ml/models.git")
	f.Add("ssh", "git:", "", "git.example.com", "/ml/models.git")
	f.Add("http", "it's:", "'", "[::1]:80", "/a b")
	f.Fuzz(func(t *testing.T, scheme, before, after, host, path string) {
		// What ends the part of an address that has credentials would make a path of the rest.
		ends := func(s string) bool { return strings.ContainsAny(s, "/?#@ \t\r\n\v\f\\") || !printable(s) }
		if ends(before) || ends(after) || ends(host) || strings.ContainsAny(host, `'"`) || !printable(path) || !schemeName.MatchString(scheme) || strings.EqualFold(scheme, "file") {
			return
		}
		web := strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
		if !web && !strings.Contains(before, ":") {
			before = "git:" + before // the name alone is no secret there
		}
		for _, address := range []string{
			scheme + "://" + before + planted + after + "@" + host + path,
			scheme + "://" + host + "/ml/models?" + before + planted + after,
		} {
			for _, printed := range []string{
				Redact(address),
				RedactText("fatal: unable to access '" + address + "': it is gone"),
				RedactText(address),
			} {
				if strings.Contains(printed, planted) {
					t.Errorf("%q is printed as %q", address, printed)
				}
			}
			r, err := parseRemote(address)
			if err != nil && strings.Contains(err.Error(), planted) {
				t.Error(err)
			}
			if err == nil && web && !strings.Contains(address, "?") && strings.Contains(r.url, planted) {
				t.Errorf("%q is dialled as %q", address, r.url)
			}
		}
	})
}

var schemeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) < 0
}
