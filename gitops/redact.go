package gitops

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
)

// remote is a remote's address taken apart, so that what is printed never held a credential.
type remote struct {
	url     string // what is dialled; without user info for http(s)
	shown   string
	auth    transport.AuthMethod // nil: none, or ssh's agent
	secrets []string
}

func parseRemote(raw string) (remote, error) {
	if !strings.Contains(raw, "://") { // host:path, with keys from the ssh agent
		return remote{url: raw, shown: raw}, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return remote{}, errors.New("malformed repository URL") // url.Parse's errors quote the credentials
	}
	r := remote{url: raw}
	if u.User != nil {
		r.secrets = secretsOf(u.User)
		if pass, ok := u.User.Password(); u.Scheme == "http" || u.Scheme == "https" {
			r.auth = &http.BasicAuth{Username: u.User.Username(), Password: pass}
			u.User = nil
			r.url = u.String()
		} else if ok {
			u.User = url.User(u.User.Username())
		}
	}
	if u.RawQuery != "" {
		for _, vs := range u.Query() {
			r.secrets = append(r.secrets, vs...)
		}
		r.secrets = append(r.secrets, u.RawQuery)
		u.RawQuery = ""
	}
	r.shown = u.String()
	return r, nil
}

// Redact is a repository's address without credentials, fit to print. A path is returned as it is.
func Redact(address string) string {
	if IsLocal(address) {
		return address
	}
	r, err := parseRemote(address)
	if err != nil {
		return "malformed URL"
	}
	return r.shown
}

// secretsOf lists every spelling: forges take a token as the password or as the user alone.
func secretsOf(u *url.Userinfo) []string {
	secret, ok := u.Password()
	if !ok || secret == "" {
		secret = u.Username()
	}
	_, escaped, ok := strings.Cut(u.String(), ":")
	if !ok || escaped == "" {
		escaped = u.String()
	}
	return []string{secret, escaped, url.QueryEscape(secret), url.PathEscape(secret)}
}

// redact hides the remote's credentials in an error that came from outside this package, and makes it
// one line.
func (r remote) redact(err error) error {
	if err == nil {
		return nil
	}
	text := strings.Join(strings.Fields(err.Error()), " ") // it quotes what the server said, in lines
	for _, s := range r.secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "REDACTED")
		}
	}
	if text == err.Error() {
		return err
	}
	return redacted{text: text, err: err}
}

// redacted answers errors.Is for the error it hides, and gives it to nobody who would print it.
type redacted struct {
	text string
	err  error
}

func (r redacted) Error() string        { return r.text }
func (r redacted) Is(target error) bool { return errors.Is(r.err, target) }

// addressInText takes a quote for an address's end, but not in what may be a credential: before an @, and in a query.
var addressInText = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://(?:[^\s/?#]*@)?[^\s'"?]*(?:\?\S*)?`)

// RedactText is a text, such as what git says, with every address in it fit to print.
func RedactText(text string) string {
	return addressInText.ReplaceAllStringFunc(text, func(address string) string {
		bare := strings.TrimRight(address, ".,:;)/'\"")
		return Redact(bare) + address[len(bare):]
	})
}
