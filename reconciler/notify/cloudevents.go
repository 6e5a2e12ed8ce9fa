package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Signature is the header with the HMAC-SHA256 of the body, "sha256=<hex>".
const Signature = "X-Davit-Signature-256"

// CloudEvent is a Message in structured mode. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
type CloudEvent struct {
	SpecVersion string  `json:"specversion"`
	ID          string  `json:"id"`
	Source      string  `json:"source"`
	Type        string  `json:"type"`
	Subject     string  `json:"subject"`
	Time        string  `json:"time"`
	ContentType string  `json:"datacontenttype"`
	Data        Message `json:"data"`
}

// types are the CloudEvents types of states.
var types = map[string]string{
	Healthy: "release.healthy", Failed: "release.failed", RolledBack: "release.rolledback", Held: "release.held", Waiting: "release.waiting",
	Pinned: "release.pinned", Proposed: "release.proposed", TrainingSucceeded: "training.succeeded", TrainingFailed: "training.failed",
}

// event is m as a CloudEvent. Its id is stable, so a receiver that sees source and id again has it.
func event(m Message) CloudEvent {
	return CloudEvent{
		SpecVersion: "1.0", ID: m.ID(), Source: "/modelregistries/" + m.Registry, Type: "dev.davit." + types[m.State], Subject: m.Subject(),
		Time: m.At.UTC().Format(time.RFC3339), ContentType: "application/json", Data: m,
	}
}

// CloudEvents sends each message as a POST in structured mode, with a bearer token and signed where the Secret says so.
func CloudEvents(secret Secret) func(context.Context, []Message) error {
	return func(ctx context.Context, messages []Message) error {
		for _, m := range messages {
			s, err := secret(ctx)
			if err != nil {
				return err
			}
			body, err := json.Marshal(event(m))
			if err != nil {
				return err
			}
			header := http.Header{"Content-Type": {"application/cloudevents+json; charset=UTF-8"}}
			if token := strings.TrimSpace(s["token"]); token != "" {
				header.Set("Authorization", "Bearer "+token)
			}
			if key := strings.TrimSpace(s["hmacKey"]); key != "" {
				mac := hmac.New(sha256.New, []byte(key))
				mac.Write(body)
				header.Set(Signature, "sha256="+hex.EncodeToString(mac.Sum(nil)))
			}
			if err := post(ctx, s["url"], header, body); err != nil {
				return err
			}
		}
		return nil
	}
}
