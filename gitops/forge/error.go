package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is a forge that refused, or did not answer. It never holds the token.
type Error struct {
	// Status is of HTTP, 0 when there was no answer.
	Status int
	// RetryAfter is when to ask again: as the forge says for its rate limits, half a minute for 5xx and silence, 0
	// when the same request will be refused again.
	RetryAfter time.Duration

	text string
	err  error
}

func (e *Error) Error() string {
	text := e.text
	if e.Status != 0 {
		text = strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.text), ": ")
	}
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden && e.RetryAfter == 0 {
		text += "; check the token and what it may do"
	}
	return text
}

// Unwrap is the network's error where there was no answer.
func (e *Error) Unwrap() error { return e.err }

const (
	outage    = 30 * time.Second
	throttled = time.Minute // what GitHub asks for when its secondary limit names no time
	longest   = time.Hour   // GitHub's window
)

// silence is a request without an answer. The end of its context is the caller's own doing.
func silence(req *http.Request, err error) error {
	if req.Context().Err() != nil {
		return err
	}
	return &Error{RetryAfter: outage, text: err.Error(), err: err}
}

func refusal(res *http.Response, body []byte) *Error {
	e := &Error{Status: res.StatusCode, text: message(body)}
	header := res.Header
	switch {
	case res.StatusCode >= http.StatusInternalServerError:
		e.RetryAfter = wait(header.Get("Retry-After"), "", outage)
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusForbidden && limited(header, e.text):
		reset := header.Get("X-RateLimit-Reset") // GitHub and Gitea's proxies; GitLab has no X-
		if reset == "" {
			reset = header.Get("RateLimit-Reset")
		}
		e.RetryAfter = wait(header.Get("Retry-After"), reset, throttled)
	}
	return e
}

// limited tells GitHub's 403 for too many requests from its 403 for missing rights.
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
func limited(header http.Header, text string) bool {
	return header.Get("Retry-After") != "" || header.Get("X-RateLimit-Remaining") == "0" || strings.Contains(text, "rate limit")
}

// wait reads Retry-After (seconds or a date), then a reset (seconds since 1970).
func wait(after, reset string, otherwise time.Duration) time.Duration {
	d := otherwise
	if n, err := strconv.Atoi(after); err == nil || errors.Is(err, strconv.ErrRange) {
		d = time.Duration(min(n, int(longest/time.Second))) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		d = time.Until(at)
	} else if n, err := strconv.ParseInt(reset, 10, 64); err == nil {
		d = time.Until(time.Unix(n, 0))
	}
	return min(max(d, time.Second), longest)
}

// message takes what a person can read out of an answer, on one line: GitHub's {message, errors: [{message}]}, Gitea's
// {message}, GitLab's {message: text, list or map} or {error}. Anything else is a proxy's page and says nothing.
func message(body []byte) string {
	var answer struct {
		Message any `json:"message"`
		Error   any `json:"error"`
		Errors  any `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var parts []string
	for _, v := range []any{answer.Message, answer.Error, answer.Errors} {
		parts = append(parts, texts(v)...)
	}
	text := []rune(strings.Join(strings.Fields(strings.Join(parts, ": ")), " "))
	return string(text[:min(len(text), 300)])
}

// texts are the strings in v; of a map with a message, that alone.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, e := range v {
			all = append(all, texts(e)...)
		}
		return all
	case map[string]any:
		if m, ok := v["message"]; ok {
			return texts(m)
		}
		var all []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			for _, t := range texts(v[k]) {
				all = append(all, k+" "+t)
			}
		}
		return all
	}
	return nil
}
