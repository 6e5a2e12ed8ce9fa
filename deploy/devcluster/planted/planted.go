// Package planted finds the credentials of tests in what was written. Each credential that a test plants bears Word, and a
// word for its kind after it, such as pl4nted-webhook: wherever that is found, a credential was told. It is for devcluster and for
// tests, and knows nothing of davit.
package planted

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// Word is in each credential that a test plants.
const Word = "pl4nted"

// words are looked for: Word, what the real SOPS encrypted for tests before there was one word for all, and how credentials begin that
// others make.
var words = []string{
	Word, "planted-47",
	"AGE-SECRET-KEY-1",
	"b3BlbnNzaC1rZXktdjEA",         // OpenSSH's private keys: openssh-key-v1
	"eyJrZGYiOnsibmFtZSI6",         // cosign's, in PEM: {"kdf":{"name":
	"eyJhbGciOiJSUzI1NiIsImtpZCI6", // tokens of service accounts: {"alg":"RS256","kid":
}

// forms are the words as they are, and as they are in a text that is base64, where three bytes begin at three places.
var forms = func() (all [][]byte) {
	for _, word := range words {
		all = append(all, []byte(word))
		for before := range 3 {
			text := base64.StdEncoding.EncodeToString([]byte("xyz"[:before] + word))
			first, last := (8*before+5)/6, 8*(before+len(word))/6 // what other bytes are not part of
			all = append(all, []byte(text[first:last]))
		}
	}
	return all
}()

// longest is the length of the longest form.
var longest = len(slices.MaxFunc(forms, func(a, b []byte) int { return len(a) - len(b) }))

// Find returns the first planted word of p, with what tells its kind, or that it is in base64; empty without one.
func Find(p []byte) string {
	for i, form := range forms {
		at := bytes.Index(p, form)
		if at < 0 {
			continue
		}
		if i%4 != 0 {
			return words[i/4] + " in base64"
		}
		rest := p[at:]
		end := bytes.IndexFunc(rest, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if end < 0 {
			end = len(rest)
		}
		return string(rest[:min(end, 40)])
	}
	return ""
}

// Writer finds a planted word in all that is written to it. The zero value is ready; it is not for concurrent use.
type Writer struct {
	// Found is the first that was written; empty before.
	Found string
	end   []byte // of what was written, which may be the beginning of a word
}

// Write never fails.
func (w *Writer) Write(p []byte) (int, error) {
	if w.Found != "" {
		return len(p), nil
	}
	if w.Found = Find(append(w.end, p[:min(len(p), longest)]...)); w.Found == "" {
		w.Found = Find(p)
	}
	w.end = append(w.end, p[max(0, len(p)-longest):]...)
	w.end = slices.Clone(w.end[max(0, len(w.end)-longest):])
	return len(p), nil
}
