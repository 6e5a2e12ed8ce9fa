package credentials

import (
	"strings"
	"testing"
)

// FuzzKeys plants a credential in a key of a Secret: it is used or refused, and no error quotes it.
func FuzzKeys(f *testing.F) {
	const planted = "pl4nted-s3cret"
	for i, repository := range []string{"https://git.example.com/a/b", "git@git.example.com:a/b", "ssh://git@[::1]:2222/a", "file:///x", "HTTP://a"} {
		f.Add(repository, names[i], names[i+1], "x\n")
	}
	f.Add("https://git.example.com/a/b", username, password, "\r\n")
	f.Add("https://git.example.com/a/b", address, username, "http://proxy:3128")
	f.Fuzz(func(t *testing.T, repository, one, two, value string) {
		if strings.Contains(repository, planted) {
			return
		}
		keys := Keys{one: []byte(value), two: []byte(planted)}
		access, app, err := parse(repository, keys)
		if err != nil {
			if strings.Contains(err.Error(), planted) && one != planted && two != planted {
				t.Error(err)
			}
		} else if app == nil && access.Username+access.Password+access.Bearer == "" && len(access.Identity)+len(access.CA)+len(access.Certificate) == 0 {
			t.Errorf("%q and %q say nothing", one, two)
		}
		for _, keys := range []Keys{{address: []byte(value), two: []byte(planted)}, {address: []byte("http://" + planted + "@" + value)}, {address: []byte(value + planted)}} {
			proxy, err := parseProxy(keys)
			if err != nil && strings.Contains(err.Error(), planted) {
				t.Error(err)
			}
			if err == nil && (proxy.Hostname() == "" || proxy.Scheme != "http" && proxy.Scheme != "https") {
				t.Errorf("the proxy is %q", proxy.Redacted())
			}
		}
	})
}
