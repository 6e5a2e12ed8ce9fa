package registry_test

import (
	"testing"
	"time"

	"github.com/davit-dev/davit/registry"
)

func TestFreezeNext(t *testing.T) {
	at := func(text string) time.Time {
		out, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	once := registry.Freeze{From: registry.Moment{Time: at("2026-12-24T00:00:00Z")}, Until: registry.Moment{Time: at("2026-12-27T00:00:00Z")}}
	weekly := registry.Freeze{Schedule: "0 18 * * 5", Duration: registry.Duration(60 * time.Hour), Timezone: "Europe/Berlin"}
	for _, c := range []struct {
		freeze    registry.Freeze
		now, want string
	}{
		{once, "2026-12-23T12:00:00Z", "2026-12-24T00:00:00Z"},
		{once, "2026-12-24T00:00:00Z", "2026-12-24T00:00:00Z"}, // it holds
		{once, "2026-12-27T00:00:00Z", ""},
		{weekly, "2026-07-03T15:00:00Z", "2026-07-03T16:00:00Z"}, // summer time
		{weekly, "2026-07-04T12:00:00Z", "2026-07-04T12:00:00Z"},
		{weekly, "2026-07-06T12:00:00Z", "2026-07-10T16:00:00Z"},
		{registry.Freeze{Schedule: "nonsense"}, "2026-07-06T12:00:00Z", ""},
	} {
		got := c.freeze.Next(at(c.now))
		if c.want == "" && !got.IsZero() || c.want != "" && !got.Equal(at(c.want)) {
			t.Errorf("after %s: %s, want %s", c.now, got, c.want)
		}
	}
}

// TestOwnKey stays when a shared file changes, and not when one of the release's own does.
func TestOwnKey(t *testing.T) {
	files := base(t)
	key := func() string {
		t.Helper()
		reg := load(t, files)
		own, err := reg.Releases[0].OwnKey(files)
		if err != nil {
			t.Fatal(err)
		}
		return own
	}
	before := key()
	r := load(t, files).Releases[0]
	for _, c := range []struct {
		file string
		own  bool
	}{{r.Environment.Path, false}, {r.Runtime.Path, false}, {r.Path, true}, {r.ServingPath, true}, {r.ModelVersion.Path, true}} {
		was := *files[c.file]
		files[c.file].Data = append(append([]byte{}, was.Data...), "# edited\n"...)
		if changed := key() != before; changed != c.own {
			t.Errorf("%s: changed %t, want %t", c.file, changed, c.own)
		}
		files[c.file].Data = was.Data
	}
}
