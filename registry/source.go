package registry

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// CheckName says what is wrong with the name of a model, version, release, team or namespace.
func CheckName(kind, name string) error {
	rule, ok := map[string]nameRule{"model": dnsLabel, "version": versionName, "release": releaseName, "team": dnsLabel, "namespace": dnsLabel}[kind]
	if ok && !rule.ok(name) {
		return fmt.Errorf("%s %q is not %s", kind, name, rule.text)
	}
	return nil
}

// CheckFile says what is wrong with a file of a version, but for its content.
func CheckFile(f File) error {
	if !cleanPath(f.Path) || !utf8.ValidString(f.Path) {
		return fmt.Errorf("path %q is not a relative path within the model, in UTF-8", f.Path)
	}
	return checkSource(f.Source)
}

// secretParameters are what addresses are signed with; names are compared in lower case.
var secretParameters = map[string]bool{
	"x-amz-signature": true, "x-amz-security-token": true, "x-goog-signature": true, "sig": true, "signature": true,
	"token": true, "access_token": true, "api_key": true, "apikey": true, "password": true,
}

// errSecretSource is told without the address.
var errSecretSource = errors.New("carries credentials, which Git keeps for ever; leave them out: a ModelRegistry grants a Secret for a prefix of sources, and elsewhere the provider's own tools have them")

// errUnreadableSource is told without the address, for what it holds can't be told from credentials.
var errUnreadableSource = errors.New("the source is not an address that can be read; escape it as a URL")

var objectStores = map[string]bool{"s3": true, "gs": true, "azblob": true}

// repositoryAtRevision says that what looks like a user in hf://gpt2@main is a repository without an organisation. Tokens of
// the hub begin with hf_.
func repositoryAtRevision(u *url.URL) bool {
	_, password := u.User.Password()
	return u.Scheme == "hf" && !password && !strings.HasPrefix(u.User.Username(), "hf_")
}

// checkSource refuses addresses that hold what only few may know.
func checkSource(source string) error {
	if !strings.Contains(source, "://") {
		return nil
	}
	u, err := url.Parse(source)
	if err != nil { // object storage has keys that are no URL
		scheme, rest, _ := strings.Cut(source, "://")
		authority, _, _ := strings.Cut(rest, "/")
		if !objectStores[strings.ToLower(scheme)] || strings.Contains(authority, "@") {
			return errUnreadableSource
		}
		return nil
	}
	if u.User != nil && !repositoryAtRevision(u) {
		return fmt.Errorf("the source at %s %w", u.Host, errSecretSource)
	}
	for _, pair := range strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
		if secretParameters[strings.ToLower(key)] {
			return fmt.Errorf("the source at %s (parameter %s) %w", u.Host, key, errSecretSource)
		}
	}
	return nil
}
