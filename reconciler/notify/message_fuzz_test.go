package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzMessage: whatever a commit, a version or a person is called, a message mentions nobody, links nowhere and is read as it
// was meant.
func FuzzMessage(f *testing.F) {
	f.Add(Failed, "iris", "v2", "CrashLoop", "exit 1 <!channel>", "Ada <ada@example.com>", int64(1_790_000_000))
	f.Add(Proposed, "<https://elsewhere.example.com|here>", "&lt;", "", "<@U1>", "\xff", int64(-1))
	f.Add("", "", "", "", strings.Repeat("é", 1000), "", int64(1<<40))
	f.Fuzz(func(t *testing.T, state, release, version, reason, text, author string, at int64) {
		m := Message{Registry: "davit-system/models", Environment: "production", Release: release, State: state, Version: version, From: version + "0", Reason: reason, Text: text, By: author, Author: author, At: time.Unix(at%(1<<37), 0)}
		a := attach(m)
		for _, part := range []string{a.Title, a.Text, a.Footer, a.Fallback} {
			if strings.ContainsAny(part, "<>") {
				t.Errorf("%q", part)
			}
		}
		if len(m.why()) > 600 && len(a.Text) > 5*600+len("…") {
			t.Errorf("%d bytes", len(a.Text))
		}
		body, err := json.Marshal(event(m))
		if err != nil {
			t.Fatal(err)
		}
		var read CloudEvent
		if err := json.Unmarshal(body, &read); err != nil {
			t.Fatal(err)
		}
		valid := utf8.ValidString(release) && utf8.ValidString(version) && utf8.ValidString(text)
		if read.ID != m.ID() || read.SpecVersion != "1.0" || read.Source == "" || valid && (read.Data.Release != release || read.Data.Version != version || read.Data.Text != text) {
			t.Errorf("%+v is sent as %s", m, body)
		}
		if at, err := time.Parse(time.RFC3339, read.Time); err != nil || !at.Equal(m.At) {
			t.Errorf("%s is sent as %s", m.At, read.Time)
		}
		if again := m; event(again).ID != read.ID {
			t.Error("its ID is another")
		}
	})
}

// FuzzReceiver: what a receiver answers has davit wait for a bounded time, and its address is in no error.
func FuzzReceiver(f *testing.F) {
	const planted = "pl4nted-s3cret"
	f.Add("60", "https://hooks.example.com:x/")
	f.Add("99999999999", "ftp://a/")
	f.Add("Wed, 21 Oct 2215 07:28:00 GMT", "://\x00")
	f.Fuzz(func(t *testing.T, header, address string) {
		if d := after(header); d < 0 {
			t.Errorf("after %s", d)
		}
		if strings.Contains(strings.ToLower(address), "http") {
			address = strings.ReplaceAll(strings.ToLower(address), "http", "ftp") // nothing is sent
		}
		if err := post(t.Context(), address+planted, nil, nil); err == nil || strings.Contains(err.Error(), planted) {
			t.Error(err)
		}
	})
}
