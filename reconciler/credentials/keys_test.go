package credentials_test

import (
	"context"
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler/credentials"
)

func keysOf(pairs ...string) func(context.Context) (credentials.Keys, error) {
	keys := credentials.Keys{}
	for i := 0; i < len(pairs); i += 2 {
		keys[pairs[i]] = []byte(pairs[i+1])
	}
	return func(context.Context) (credentials.Keys, error) { return keys, nil }
}

// TestKeys: what is missing or too much is named, with what to do, and no value of it.
func TestKeys(t *testing.T) {
	const https, ssh, scp = "https://git.example.com/models", "ssh://git@git.example.com:2222/models", "git@git.example.com:models"
	for what, c := range map[string]struct {
		url  string
		keys []string
		err  string
	}{
		"password":         {https, []string{"username", "ada\n", "password", "pl4nted\n"}, ""},
		"bearer":           {https, []string{"bearerToken", "pl4nted"}, ""},
		"authority":        {https, []string{"ca.crt", "pl4nted"}, ""},
		"certificate":      {https, []string{"tls.crt", "c", "tls.key", "pl4nted"}, ""},
		"ssh":              {ssh, []string{"identity", "pl4nted", "known_hosts", "k"}, ""},
		"nothing":          {https, []string{"token", "pl4nted"}, "none of the keys username, password, bearerToken, githubAppID"},
		"no user":          {https, []string{"password", "pl4nted"}, "there is no key username; username, password go together"},
		"no password":      {https, []string{"username", "ada", "password", "\n"}, "there is no key password"},
		"two ways":         {https, []string{"username", "ada", "password", "pl4nted", "bearerToken", "pl4nted"}, "more than one of"},
		"half a cert":      {https, []string{"tls.key", "pl4nted"}, "there is no key tls.crt"},
		"half an App":      {https, []string{"githubAppPrivateKey", "pl4nted"}, "there is no key githubAppID and no key githubAppInstallationID"},
		"ssh key for http": {https, []string{"identity", "pl4nted"}, "write it as ssh://git@host/path"},
		"no ssh key":       {ssh, []string{"username", "ada", "password", "pl4nted"}, "there is no key identity, the private key for ssh; make one with ssh-keygen"},
		"unknown host":     {ssh, []string{"identity", "pl4nted"}, "make it with ssh-keyscan -p 2222 git.example.com > known_hosts"},
		"unknown scp host": {scp, []string{"identity", "pl4nted"}, "make it with ssh-keyscan git.example.com > known_hosts"},
		"a folder":         {"/srv/models", []string{"username", "ada", "password", "pl4nted"}, "they are for http, https and ssh URLs"},
		"git":              {"git://git.example.com/models", []string{"username", "ada", "password", "pl4nted"}, "they are for http, https and ssh URLs"},
	} {
		access, err := credentials.New(credentials.Config{URL: c.url, Keys: keysOf(c.keys...)}).Access(t.Context())
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.err == "":
			if strings.ContainsAny(access.Username+access.Password, "\n") {
				t.Errorf("%s: the line end of a file is part of %q", what, access.Username)
			}
		case err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "pl4nted"):
			t.Errorf("%s: %v, want %q", what, err, c.err)
		}
	}
}

func TestProxyKeys(t *testing.T) {
	for what, c := range map[string]struct {
		keys []string
		want string // or what the error says
	}{
		"open":         {[]string{"address", "http://proxy:3128\n"}, "http://proxy:3128"},
		"password":     {[]string{"address", "https://proxy", "username", "ada", "password", "p@ss\n"}, "https://ada:p%40ss@proxy"},
		"nothing":      {nil, "there is no key address; it is http://host:port"},
		"half":         {[]string{"address", "http://proxy", "password", "pl4nted"}, "there is no key username"},
		"no address":   {[]string{"address", "proxy:3128"}, "is not http://host:port"},
		"another kind": {[]string{"address", "socks5://proxy"}, "is not http://host:port"},
		"user in it":   {[]string{"address", "http://ada:pl4nted@proxy"}, "keep it in the keys username and password"},
	} {
		access, err := credentials.New(credentials.Config{URL: "https://git.example.com/models", Proxy: keysOf(c.keys...)}).Access(t.Context())
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = access.Proxy.String()
		}
		if !strings.Contains(got, c.want) || strings.Contains(got, "pl4nted") {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
