package gitops

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzEvent: an event that was read from a note is written as one line, which reads as the same.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-24T10:00:00Z","release":"production/iris","outcome":"Healthy","version":"v2","seen":"2026-11-24T09:59:58+02:00"}`))
	f.Add([]byte(`{"release":"a/b","message":"a\nb\u2028","exitCode":137,"at":"9999-12-31T23:59:59-23:00"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var e, again Event
		if json.Unmarshal(line, &e) != nil || e.Release == "" {
			return
		}
		written, err := e.line()
		if err != nil {
			if !strings.Contains(err.Error(), "year") {
				t.Error(err)
			}
			return
		}
		if strings.ContainsAny(written, "\n\r") {
			t.Errorf("%q is more than a line", written)
		}
		if err := json.Unmarshal([]byte(written), &again); err != nil {
			t.Fatal(err)
		}
		if twice, err := again.line(); err != nil || twice != written {
			t.Errorf("%s is written again as %s, %v", written, twice, err)
		}
	})
}

// FuzzRun: a run's record that was read is written as what reads as the same, and follows itself without a change.
func FuzzRun(f *testing.F) {
	hash := strings.Repeat("0a", 32)
	f.Add([]byte(`{"hash":"` + hash + `","state":"Claimed","claimed":"2026-11-24T10:00:00Z"}`))
	f.Add([]byte(`{"hash":"` + hash + `","state":"Succeeded","metrics":{"accuracy":0.96},"started":"2026-11-24T10:00:00.5+01:00"}`))
	f.Add([]byte(`{"hash":"x","state":"Lost"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := DecodeRun(data)
		if err != nil {
			return
		}
		written, err := run.Encode()
		if err != nil {
			if !strings.Contains(err.Error(), "year") {
				t.Error(err)
			}
			return
		}
		read, err := DecodeRun(written)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := read.Encode(); err != nil || string(again) != string(written) {
			t.Errorf("%s is written again as %s, %v", written, again, err)
		}
		if next, err := read.Follows(read); err != nil || !reflect.DeepEqual(next, read) {
			t.Errorf("%+v is followed by %+v, %v", read, next, err)
		}
	})
}
