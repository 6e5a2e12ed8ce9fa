package gitops

import (
	"bytes"
	"io"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzParseFolder: a folder has one spelling, and lies in the repository.
func FuzzParseFolder(f *testing.F) {
	for _, name := range []string{"", ".", "./ml/registry/", "/ml", "ml/../..", "ml/.GIT", " a ", "a//b", `a\b`} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folder, err := ParseFolder(name)
		if err != nil || folder == "" {
			return
		}
		if again, err := ParseFolder(folder); err != nil || again != folder || !fs.ValidPath(folder) || committable(folder) != nil {
			t.Errorf("%q is %q, and that %q, %v", name, folder, again, err)
		}
	})
}

// FuzzVersions: whatever order a server lists its tags in, the same one is followed, and it is one of them.
func FuzzVersions(f *testing.F) {
	f.Add(">=1.0.0 <2.0.0", "v1.0.0 v1.2.0 v2.0.0 20261124 1.2.0+a")
	f.Add("registry/^1.2.3 || 3.x", "registry/v1.9.9 v3.0.0 registry/3.0.0-rc.1")
	f.Add("~0", "")
	f.Fuzz(func(t *testing.T, text, list string) {
		v, err := parseVersions(text)
		if err != nil {
			return
		}
		tags := strings.Fields(list)
		tag, err := v.pick(tags)
		back := slices.Clone(tags)
		slices.Reverse(back)
		if other, errBack := v.pick(back); other != tag || (err == nil) != (errBack == nil) {
			t.Errorf("%q of %q is %q or %q", text, tags, tag, other)
		}
		if err == nil && !slices.Contains(tags, tag) {
			t.Errorf("%q of %q is %q", text, tags, tag)
		}
	})
}

// FuzzMessage: a commit's subject is one line, and so is a trailer's value.
func FuzzMessage(f *testing.F) {
	f.Add("Promote iris\n\nbecause\n\nDavit-From: staging\n more\nSigned-off-by: Ada <ada@example.com>\n", "davit-from")
	f.Add("\r\n\r\na\r\nb\r\n\r\n:\n", "")
	f.Fuzz(func(t *testing.T, text, name string) {
		c := Commit{}
		c.Subject, c.Body = message(text)
		if strings.ContainsAny(c.Subject, "\n\r\t") || strings.TrimSpace(c.Subject) != c.Subject {
			t.Errorf("subject %q", c.Subject)
		}
		if value, _ := c.Trailer(name); strings.Contains(value, "\n") || strings.TrimSpace(value) != value {
			t.Errorf("trailer %q", value)
		}
	})
}

// FuzzResolve asks a repository for any revision: it is one of its commits, or an error.
func FuzzResolve(f *testing.F) {
	r := story(f)
	s := r.open("main")
	tip, err := s.Resolve(f.Context(), "HEAD")
	if err != nil {
		f.Fatal(err)
	}
	for _, rev := range []string{"HEAD", "main~1", "HEAD^2", "main@sha1:" + tip.String()[:12], tip.String()[:7] + "^0~1", "HEAD~99999999999999999999", "../HEAD", "refs/heads/main", "-x", "@{u}", "main\x00"} {
		f.Add(rev)
	}
	f.Fuzz(func(t *testing.T, rev string) {
		if strings.Count(rev, "~")+strings.Count(rev, "^") > 100 {
			return
		}
		h, err := s.Resolve(t.Context(), rev)
		if err != nil {
			return
		}
		if _, err := s.Commit(t.Context(), h); err != nil {
			t.Errorf("%q is %s: %v", rev, h, err)
		}
		if again, err := s.Resolve(t.Context(), h.String()); err != nil || again != h {
			t.Errorf("%s is %s, %v", h, again, err)
		}
	})
}

// answering is a connection to a proxy that has said all it will.
type answering struct {
	net.Conn
	in *bytes.Reader
}

func (a answering) Read(p []byte) (int, error)  { return a.in.Read(p) }
func (a answering) Write(p []byte) (int, error) { return len(p), nil }
func (a answering) SetDeadline(time.Time) error { return nil }

// FuzzConnect: of what a proxy sends, its answer's head is taken and not a byte of what is behind, which is the server's.
func FuzzConnect(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"), []byte("SSH-2.0-x\r\n"))
	f.Add([]byte("HTTP/1.0 200 \nA: b\n c\n\n"), []byte("\n"))
	f.Add([]byte("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n"), []byte("hello"))
	f.Fuzz(func(t *testing.T, head, behind []byte) {
		all := append(bytes.Clone(head), behind...)
		in := bytes.NewReader(all)
		d := connectDialer{&url.URL{Scheme: "http", Host: "proxy", User: url.UserPassword("ada", planted)}}
		err := d.connect(answering{in: in}, "git.example.com:22")
		if err != nil {
			if strings.Contains(err.Error(), planted) && !bytes.Contains(all, []byte(planted)) {
				t.Error(err)
			}
			return
		}
		rest, _ := io.ReadAll(in)
		taken := string(all[:len(all)-len(rest)])
		if !strings.HasSuffix(taken, "\n\n") && !strings.HasSuffix(taken, "\n\r\n") {
			t.Errorf("took %q, and left %q", taken, rest)
		}
	})
}
