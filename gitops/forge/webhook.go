package forge

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// WebhookConfig says what a webhook does.
type WebhookConfig struct {
	// Secret gives what deliveries may be signed with, asked for at each; several while one is replaced. Nothing is
	// accepted without one, and an empty one is none.
	Secret func() [][]byte
	// Pushed is told a full ref that was pushed or merged to; "" when the sender does not say which. It is called once
	// for each delivery, concurrently, and must not wait: gitops.Source.Pushed takes bursts together.
	Pushed func(ref string)
	// Log gets refusals, at most one a minute; slog's default if nil.
	Log *slog.Logger
}

// Webhook receives what a forge sends when something was pushed or a pull request was merged: GitHub, Gitea, Forgejo
// and GitLab as they are (JSON or a form), and anything else that signs its body:
//
//	body='{"ref":"refs/heads/main"}'
//	signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)
//	curl -d "$body" -H "X-Davit-Signature: sha256=$signature" https://davit.example.com/webhook
//
// The signature is checked before anything of the body is looked at. A delivery only makes davit look at Git sooner
// and is never believed otherwise, so one that is replayed does no harm. Answers say nothing but their status: 204
// taken or of no interest, 400 not understood though signed, 401 not signed, 405 no POST, 413 above 1 MiB. How long a
// stranger may take to send that much is for the server's ReadTimeout.
func Webhook(cfg WebhookConfig) http.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &webhook{WebhookConfig: cfg}
}

type webhook struct {
	WebhookConfig
	mu     sync.Mutex
	warned time.Time
}

const maxBody = 1 << 20

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var secrets [][]byte
	if h.Secret != nil {
		secrets = h.Secret()
	}
	p := proofOf(r.Header)
	if len(secrets) == 0 || p == nil {
		h.refuse(w, r, "no secret is configured, or the delivery is not signed")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !p.by(secrets, body) {
		h.refuse(w, r, "the signature is not of this secret")
		return
	}
	ref, moved, err := refOf(r.Header, body)
	if err != nil {
		h.Log.Warn("a signed webhook delivery is not understood; let it send application/json", "err", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if moved && h.Pushed != nil {
		h.Pushed(ref)
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuse gives the reason to the log alone, and not for each of a stranger's tries.
func (h *webhook) refuse(w http.ResponseWriter, r *http.Request, why string) {
	w.WriteHeader(http.StatusUnauthorized)
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.warned) < time.Minute {
		return
	}
	h.warned = time.Now()
	h.Log.Warn("refusing webhook deliveries", "from", r.RemoteAddr, "why", why)
}

// delivery is of a push, or of a pull request as GitHub and Gitea, then GitLab send it.
type delivery struct {
	Ref         string `json:"ref"`
	Action      string `json:"action"`
	PullRequest struct {
		Merged bool `json:"merged"`
		Base   struct {
			Ref string `json:"ref"`
		} `json:"base"`
	} `json:"pull_request"`
	Attributes struct {
		Action string `json:"action"`
		Target string `json:"target_branch"`
	} `json:"object_attributes"`
}

// refOf reads which ref moved; false for events of no interest, whose bodies are not parsed.
func refOf(header http.Header, body []byte) (string, bool, error) {
	var d delivery
	switch eventOf(header) {
	case "", "push", "Push Hook", "Tag Push Hook":
		err := decode(header, body, &d)
		return d.Ref, err == nil, err
	case "pull_request":
		err := decode(header, body, &d)
		return "refs/heads/" + d.PullRequest.Base.Ref, d.Action == "closed" && d.PullRequest.Merged, err
	case "Merge Request Hook":
		err := decode(header, body, &d)
		return "refs/heads/" + d.Attributes.Target, d.Attributes.Action == "merge", err
	}
	return "", false, nil
}

// eventOf is "" for a sender that is no forge.
func eventOf(header http.Header) string {
	for _, name := range []string{"X-Forgejo-Event", "X-Gitea-Event", "X-GitHub-Event", "X-Gitlab-Event"} {
		if event := header.Get(name); event != "" {
			return event
		}
	}
	return ""
}

func decode(header http.Header, body []byte, d *delivery) error {
	if strings.HasPrefix(header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		// GitHub's default: payload=<JSON>. curl -d says so too, and sends JSON.
		if form, err := url.ParseQuery(string(body)); err == nil && form.Has("payload") {
			body = []byte(form.Get("payload"))
		}
	}
	if len(body) == 0 {
		return nil // look at everything
	}
	return json.Unmarshal(body, d)
}
