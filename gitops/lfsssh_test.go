package gitops

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lfsHost is an LFS server behind an ssh host's git-lfs-authenticate, and what came to both.
type lfsHost struct {
	*httptest.Server
	program string // git-lfs-authenticate
	log     string // its arguments, a line each time

	mu    sync.Mutex
	token string // that opens it
	asked int    // without the token
}

const lfsContent = "weights"

func newLFSHost(t *testing.T, s *sshd) *lfsHost {
	t.Helper()
	h := &lfsHost{program: filepath.Join(s.bin, "git-lfs-authenticate"), log: filepath.Join(t.TempDir(), "log")}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

// opens has the host give out a token, and the server want one.
func (h *lfsHost) opens(t *testing.T, given, wanted string, more string) {
	t.Helper()
	h.mu.Lock()
	h.token = wanted
	h.mu.Unlock()
	h.says(t, fmt.Sprintf(`{"href": %q, "header": {"Authorization": %q}%s}`, h.URL+"/lfs", given, more))
}

func (h *lfsHost) says(t *testing.T, answer string) {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s\ncat <<'END'\n%s\nEND\n", h.log, answer)
	if err := os.WriteFile(h.program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (h *lfsHost) lines(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(h.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func (h *lfsHost) serve(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	open := req.Header.Get("Authorization") == h.token
	if !open {
		h.asked++
	}
	h.mu.Unlock()
	switch {
	case !open:
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case req.Method == http.MethodPost && req.URL.Path == "/lfs/objects/batch":
		var asked struct{ Objects []map[string]any }
		_ = json.NewDecoder(req.Body).Decode(&asked)
		for _, o := range asked.Objects {
			o["actions"] = map[string]any{"download": map[string]any{"href": h.URL + "/content", "header": map[string]string{"Authorization": h.token}}}
		}
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"objects": asked.Objects})
	case req.URL.Path == "/content":
		_, _ = io.WriteString(w, lfsContent)
	default:
		http.NotFound(w, req)
	}
}

// TestLFSOverSSH: the host of an ssh remote says where its LFS server is and what opens it, as it says to the real git-lfs;
// its answer is gone by while it is valid, and no longer than the server takes it.
func TestLFSOverSSH(t *testing.T) {
	s := runSSHD(t)
	h := newLFSHost(t, s)
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HOME", t.TempDir())
	key := filepath.Join(t.TempDir(), "key")
	identity := keygen(t, key, "")
	s.allow(t, key+".pub")
	r := newRepo(t)
	r.git("lfs", "install", "--local")
	r.git("lfs", "track", "*.bin")
	tip := r.commit("one", "a.bin", lfsContent)
	address := s.url + r.dir + "/.git"
	source := open(t, Config{URL: address, Mirror: t.TempDir(), Access: fixed(Access{Identity: identity, KnownHosts: s.hosts})})
	snap := snapshot(t, source, tip)
	server, _, err := snap.LFS()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: snap.LFSTransport(http.DefaultTransport)}
	batch := func() (string, error) {
		res, err := client.Post(server.JoinPath("objects/batch").String(), "application/vnd.git-lfs+json", strings.NewReader(`{"objects": [{"oid": "x", "size": 7}]}`))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		return res.Status + " " + string(data), err
	}
	answers := func(want string) {
		t.Helper()
		if got, err := batch(); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s, %v; want %q", got, err, want)
		}
	}

	// A host without the command: the server that is discovered, which is not there.
	if got, err := batch(); err == nil || !strings.Contains(err.Error(), "https://127.0.0.1/") {
		t.Errorf("without the command: %s, %v", got, err)
	}
	source.lfsSSH.forget()

	h.opens(t, "RemoteAuth one", "RemoteAuth one", `, "expires_in": 3600`)
	answers(h.URL + "/content")
	answers(h.URL + "/content")
	if got := h.lines(t); len(got) != 1 || got[0] != r.dir+"/.git download" {
		t.Errorf("asked %q", got)
	}
	h.opens(t, "RemoteAuth two", "RemoteAuth two", `, "expires_at": "2016-11-10T15:29:07Z"`)
	answers("401")
	answers(h.URL + "/content") // it was asked anew
	answers(h.URL + "/content") // and again, for what it says is valid no more
	if got := h.lines(t); len(got) != 3 {
		t.Errorf("asked %q", got)
	}
	for answer, want := range map[string]string{
		"pl4nted": "does not answer in JSON", `{"href": "file:///pl4nted"}`: "is not an http or https address",
	} {
		source.lfsSSH.forget()
		h.says(t, answer)
		if _, err := batch(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%s: %v", answer, err)
		}
	}

	h.opens(t, "RemoteAuth three", "RemoteAuth three", "")
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, s.hosts, 0o600); err != nil {
		t.Fatal(err)
	}
	asked := len(h.lines(t))
	clone := exec.CommandContext(t.Context(), "git", "clone", "-q", address, filepath.Join(t.TempDir(), "clone"))
	clone.Env = append(os.Environ(), "GIT_SSH_COMMAND=ssh -i "+key+" -o UserKnownHostsFile="+known,
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=filter.lfs.process", "GIT_CONFIG_VALUE_0=git-lfs filter-process", "GIT_CONFIG_KEY_1=filter.lfs.required", "GIT_CONFIG_VALUE_1=true")
	if out, err := clone.CombinedOutput(); err != nil {
		t.Fatalf("the real git-lfs: %v\n%s", err, out)
	}
	if got := h.lines(t)[asked:]; len(got) == 0 || got[0] != r.dir+"/.git download" {
		t.Errorf("the real git-lfs asked %q", got)
	}

	// An ssh host that is out of reach is no host without the command.
	source.lfsSSH.forget()
	stranger := fixed(Access{Identity: keygen(t, filepath.Join(t.TempDir(), "other"), ""), KnownHosts: s.hosts})
	source.mirror.reach.ask = stranger
	if _, err := batch(); err == nil || !strings.Contains(err.Error(), "check that the public half of the key") {
		t.Errorf("with a key that is not allowed: %v", err)
	}
}

func TestLFSAnswerEnds(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		answer lfsAnswer
		want   time.Duration
	}{
		{lfsAnswer{}, lfsKept},
		{lfsAnswer{ExpiresIn: 86400}, lfsKept},
		{lfsAnswer{ExpiresIn: 60}, 50 * time.Second},
		{lfsAnswer{ExpiresAt: now.Add(time.Minute)}, 50 * time.Second},
		{lfsAnswer{ExpiresAt: now.Add(time.Hour)}, lfsKept},
		{lfsAnswer{ExpiresIn: 60, ExpiresAt: now.Add(-time.Hour)}, 50 * time.Second},
		{lfsAnswer{ExpiresAt: now.Add(-time.Hour)}, -time.Hour - 10*time.Second},
	} {
		if got := c.answer.until(now).Sub(now); got != c.want {
			t.Errorf("%+v: %s, want %s", c.answer, got, c.want)
		}
	}
}
