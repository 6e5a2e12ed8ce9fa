package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// proof is what a delivery brings to show that its sender knows the secret.
type proof struct {
	signatures [][]byte // HMAC-SHA256 of the body
	token      string   // the secret itself, as GitLab does
}

// signatureHeaders hold the signature in hex, some after sha256=. Forgejo and Gitea send several of them.
var signatureHeaders = []string{"X-Davit-Signature", "X-Hub-Signature-256", "X-Forgejo-Signature", "X-Gitea-Signature"}

// proofOf is nil when there is none.
func proofOf(header http.Header) *proof {
	p := &proof{token: header.Get("X-Gitlab-Token")}
	for _, name := range signatureHeaders {
		sum, err := hex.DecodeString(strings.TrimPrefix(header.Get(name), "sha256="))
		if err == nil && len(sum) == sha256.Size {
			p.signatures = append(p.signatures, sum)
		}
	}
	if p.token == "" && p.signatures == nil {
		return nil
	}
	return p
}

// by tells whether one of secrets is the sender's. Everything is compared, in constant time.
func (p *proof) by(secrets [][]byte, body []byte) bool {
	known := false
	for _, secret := range secrets {
		if len(secret) == 0 {
			continue // anybody can sign with it
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		sum := mac.Sum(nil)
		for _, s := range p.signatures {
			known = hmac.Equal(s, sum) || known
		}
		// Sums have one length, so the time does not tell the secret's.
		given, own := sha256.Sum256([]byte(p.token)), sha256.Sum256(secret)
		known = hmac.Equal(given[:], own[:]) || known
	}
	return known
}
