package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// hooks sends webhooks as a forge does, and as a stranger.
type hooks struct {
	url, secret string
	rate        int // deliveries a second, beside those of commits

	mu   sync.Mutex
	sent int
	took []time.Duration
}

// deliveries are those that come beside the commits', in turn.
var deliveries = []struct {
	what   string
	body   []byte
	secret string // in place of the right one
	status int
}{
	{what: "a push to another branch", body: push("refs/heads/feature", "1"), status: http.StatusNoContent},
	{what: "davit's own notes", body: push("refs/notes/davit", "2"), status: http.StatusNoContent},
	{what: "a forged signature", body: push("refs/heads/main", "3"), secret: "guessed", status: http.StatusUnauthorized},
	{what: "no JSON, signed", body: []byte("{"), status: http.StatusBadRequest},
	{what: "more than 1 MiB, signed", body: bytes.Repeat([]byte(" "), 1<<20+1), status: http.StatusRequestEntityTooLarge},
}

func push(ref, after string) []byte { return fmt.Appendf(nil, `{"ref":%q,"after":%q}`, ref, after) }

// pushed tells the controller of a commit to the followed branch.
func (h *hooks) pushed(ctx context.Context, commit string) error {
	return h.send(ctx, push("refs/heads/main", commit), h.secret, http.StatusNoContent)
}

// delivering sends the others until ctx ends. An answer other than the right one is an error.
func (h *hooks) delivering(ctx context.Context) error {
	if h.rate == 0 {
		return nil
	}
	tick := time.NewTicker(time.Second / time.Duration(h.rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		d := deliveries[n%len(deliveries)]
		secret := h.secret
		if d.secret != "" {
			secret = d.secret
		}
		if err := h.send(context.WithoutCancel(ctx), d.body, secret, d.status); err != nil {
			return fmt.Errorf("%s: %w", d.what, err)
		}
	}
}

func (h *hooks) send(ctx context.Context, body []byte, secret string, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", "push")
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("delivering a webhook: %w", err)
	}
	response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("a webhook is answered %s, not %d", response.Status, status)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent++
	h.took = append(h.took, time.Since(began))
	return nil
}
