package registry_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/davit-dev/davit/registry"
)

const (
	lockFile = "models/iris/training/tune.lock.yaml"
	sum      = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
	alpaca   = "{name: alpaca-2, uri: s3://data/alpaca, sha256: cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc}"
	lockHead = "apiVersion: davit.dev/v1alpha1\nkind: TrainingLock\nspec:\n  tick: 2026-11-23T02:00:00Z\n"
)

// scheduled is tune with a schedule, of datasets as they are given.
func scheduled(schedule, datasets string) string {
	return strings.Replace(tune, "["+alpaca+"]", "["+datasets+"]", 1) + "  schedule: " + schedule + "\n"
}

const weekly, moving = `{cron: "0 3 * * 1", timezone: Europe/Berlin}`, "{name: alpaca-2, uri: s3://data/alpaca}"

func lockOf(from, uri, sha256 string) string {
	return lockHead + fmt.Sprintf("  datasets:\n    - {name: alpaca-2, from: %q, uri: %q, sha256: %s}\n", from, uri, sha256)
}

// TestScheduleFaults tells each at its line.
func TestScheduleFaults(t *testing.T) {
	lines := strings.Count(tune, "\n") + 1
	for name, c := range map[string]struct{ schedule, datasets, lock, want string }{
		"sound":                {weekly, moving, "", ""},
		"unchanged":            {`{cron: "0 3 * * *", unchanged: train}`, alpaca, "", ""},
		"no data":              {`{cron: "0 3 * * *", unchanged: train}`, "", "", ""},
		"a day's data":         {weekly, strings.Replace(alpaca, "s3://data/alpaca", `"s3://data/{date}"`, 1), "", ""},
		"no cron":              {`{timezone: UTC}`, moving, "", fmt.Sprintf(":%d: schedule.cron is missing", lines)},
		"four fields":          {`{cron: "3 * * 1"}`, moving, "", fmt.Sprintf(`:%d: schedule "3 * * 1" is not five fields`, lines)},
		"shorthand":            {`{cron: "@daily"}`, moving, "", `schedule "@daily" is not five fields`},
		"zone within":          {`{cron: "TZ=UTC 0 3 * * 1"}`, moving, "", `is not five fields`},
		"never":                {`{cron: "0 3 31 2 *"}`, moving, "", `schedule "0 3 31 2 *" never comes`},
		"zone":                 {`{cron: "0 3 * * 1", timezone: Mars}`, moving, "", `timezone "Mars" is not known`},
		"word":                 {`{cron: "0 3 * * 1", unchanged: skipp}`, moving, "", `schedule.unchanged: "skipp" is not known; did you mean "skip"?`},
		"nothing moves":        {weekly, alpaca, "", "no dataset can change, so the schedule trains once; write unchanged: train, or give a dataset that moves"},
		"nothing there":        {`{cron: "0 3 * * 1", unchanged: skip}`, "", "", "no dataset can change"},
		"a lock":               {weekly, moving, lockOf("s3://data/alpaca", "s3://data/alpaca?versionId=1", sum), ""},
		"a stale lock":         {weekly, moving, lockOf("s3://data/other", "s3://data/other?versionId=1", sum), ""},
		"a lock's kind":        {weekly, moving, strings.Replace(lockHead, "TrainingLock", "Training", 1), lockFile + `:1: kind is "Training"; a file at this place is kind: TrainingLock`},
		"a lock's field":       {weekly, moving, lockHead + "  hash: x\n", lockFile + `:5: unknown field "hash"`},
		"a lock's tick":        {weekly, moving, strings.Replace(lockHead, "2026-11-23T02:00:00Z", "yesterday", 1), lockFile + `:4: tick: "yesterday" is not a time`},
		"a lock without tick":  {weekly, moving, strings.Replace(lockHead, "  tick: 2026-11-23T02:00:00Z\n", "  datasets: []\n", 1), lockFile + `:4: spec.tick is missing`},
		"a lock's dataset":     {weekly, moving, lockHead + "  datasets:\n    - {name: alpaca-2, from: s3://data/alpaca}\n", lockFile + ":6: a locked dataset needs name, from and uri"},
		"a lock's sha256":      {weekly, moving, lockOf("s3://a", "s3://a", "12a"), lockFile + ":6: sha256 of dataset \"alpaca-2\" is not 64"},
		"a lock's credentials": {weekly, moving, lockOf("s3://a", "https://u:p@a.example.com/", sum), lockFile + ":6: the source at a.example.com carries credentials"},
		"a lock's name":        {weekly, moving, "metadata: {name: other}\n" + lockHead, lockFile + `:1: metadata.name "other" disagrees`},
	} {
		over := map[string]string{"models/iris/training/tune.yaml": scheduled(c.schedule, c.datasets)}
		if c.lock != "" {
			over[lockFile] = c.lock
		}
		reg := load(t, trained(t, over))
		faults := reg.Faults
		switch sound := reg.Trainings["iris/tune"]; {
		case c.want == "" && (sound == nil || len(faults) > 0):
			t.Errorf("%s: %v", name, faults)
		case c.want == "":
		case sound != nil || len(faults) != 1 || !strings.Contains(faults[0].String(), c.want):
			t.Errorf("%s: %v, want %s", name, faults, c.want)
		}
	}
}

// TestLocksAlone are faults that no training is about.
func TestLocksAlone(t *testing.T) {
	lock := lockOf("s3://data/alpaca", "s3://data/alpaca?versionId=1", sum)
	reg := load(t, trained(t, map[string]string{"models/iris/training/tone.lock.yaml": lock}))
	if len(reg.Faults) != 1 || reg.Faults[0].String() != `models/iris/training/tone.lock.yaml:1: there is no training "tone" for this lock; remove the file; did you mean "tune"?` {
		t.Error(reg.Faults)
	}
	if len(reg.Trainings) != 1 || len(reg.BrokenTrainings) > 0 {
		t.Error("a lock is a training", reg.Trainings, reg.BrokenTrainings)
	}
	reg = load(t, trained(t, map[string]string{lockFile: lock}))
	if len(reg.Faults) != 1 || reg.Faults[0].String() != lockFile+`:1: training "tune" has no schedule, and nothing to lock; remove the file` {
		t.Error(reg.Faults)
	}
	reg = load(t, trained(t, map[string]string{"models/iris/training/tune.yaml": strings.Replace(tune, "s3://data/alpaca", `"s3://data/{date}"`, 1)}))
	if len(reg.Faults) != 1 || !strings.Contains(reg.Faults[0].Text, "{date} in the uri of dataset \"alpaca-2\" is filled in by a schedule, and there is none") {
		t.Error(reg.Faults)
	}
}

// TestLockOfARun: a lock that fits is what is trained on; its time counts where unchanged datasets are trained on, too.
func TestLockOfARun(t *testing.T) {
	of := func(schedule, datasets, lock string) (*registry.Training, string) {
		t.Helper()
		over := map[string]string{"models/iris/training/tune.yaml": scheduled(schedule, datasets)}
		if lock != "" {
			over[lockFile] = lock
		}
		fsys := trained(t, over)
		got := training(t, fsys)
		hash, err := got.RunHash(fsys)
		if err != nil {
			t.Fatal(err)
		}
		return got, hash
	}
	first := lockOf("s3://data/alpaca", "s3://data/alpaca?versionId=1", sum)
	later := strings.Replace(first, "2026-11-23", "2026-11-30", 1)
	got, hash := of(weekly, moving, first)
	if d := got.Datasets(); !got.Locked() || len(d) != 1 || d[0] != (registry.Dataset{Name: "alpaca-2", URI: "s3://data/alpaca?versionId=1", SHA256: sum}) {
		t.Errorf("trained on %v", d)
	}
	if _, again := of(weekly, moving, later); again != hash {
		t.Error("a later lock of the same data is another run")
	}
	if _, other := of(weekly, moving, lockOf("s3://data/alpaca", "s3://data/alpaca?versionId=2", sum)); other == hash {
		t.Error("other data is the same run")
	}
	always := strings.Replace(weekly, "}", ", unchanged: train}", 1)
	_, one := of(always, moving, first)
	if _, two := of(always, moving, later); one == two || one == hash {
		t.Error("the time is not in the hash where unchanged data is trained on")
	}
	for name, c := range map[string]struct{ datasets, lock string }{
		"none":       {moving, ""},
		"other URI":  {moving, lockOf("s3://data/other", "s3://data/other?versionId=1", sum)},
		"other name": {strings.Replace(moving, "alpaca-2", "alpaca-3", 1), first},
		"other sum":  {moving + ", " + alpaca[:len(alpaca)-2] + "e}", first},
		"one more":   {moving + ", {name: more, uri: s3://data/more}", first},
	} {
		if c.datasets = strings.Replace(c.datasets, moving+", {name: alpaca-2", moving+", {name: b", 1); name == "other sum" {
			c.lock = first + "    - {name: b, from: s3://data/alpaca, uri: s3://data/alpaca, sha256: " + sum + "}\n"
		}
		if got, _ := of(weekly, c.datasets, c.lock); got.Locked() || !got.Waits() || got.Datasets()[0].URI != "s3://data/alpaca" {
			t.Errorf("%s: locked %v, trains on %v", name, got.Locked(), got.Datasets())
		}
	}
}

// TestWithLock writes what Load reads as the same, and refuses what does not fit.
func TestWithLock(t *testing.T) {
	over := map[string]string{"models/iris/training/tune.yaml": scheduled(weekly, moving)}
	fsys := trained(t, over)
	lock := registry.Lock{Tick: at("2026-11-23T03:00:00+01:00"), Datasets: []registry.LockedDataset{
		{Name: "alpaca-2", From: "s3://data/alpaca", URI: "s3://data/alpaca?versionId=1", SHA256: sum}}}
	name, text, err := training(t, fsys).WithLock(lock)
	if err != nil || name != lockFile {
		t.Fatal(name, err)
	}
	const want = `# Written by davit at the training's schedule; do not edit. Without it the training waits for its next time.
apiVersion: davit.dev/v1alpha1
kind: TrainingLock
spec:
  tick: "2026-11-23T02:00:00Z"
  datasets:
    - name: alpaca-2
      from: s3://data/alpaca
      uri: s3://data/alpaca?versionId=1
      sha256: ` + sum + "\n"
	if string(text) != want {
		t.Errorf("%s", text)
	}
	reg := load(t, fsys)
	locked := maps.Clone(fsys)
	locked[name] = &fstest.MapFile{Data: text}
	next, err := reg.Update(locked, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Trainings["iris/tune"]; got == nil || !got.Locked() || !got.Lock.Tick.Equal(lock.Tick) || got.Lock.Datasets[0] != lock.Datasets[0] {
		t.Errorf("%+v %v", got, next.Faults)
	}
	if d := difference(next, load(t, locked)); d != "" || len(next.Touched()) > 0 {
		t.Errorf("Update and Load differ in %s; touched %v", d, next.Touched())
	}
	gone, err := next.Update(fsys, []string{name})
	if err != nil || gone.Trainings["iris/tune"].Locked() {
		t.Error("a lock that is gone holds", err)
	}
	lock.Datasets[0].From = "s3://data/other"
	if _, _, err := training(t, fsys).WithLock(lock); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Error(err)
	}
}

// TestDatasetsAt fills in the day that it is where the schedule is.
func TestDatasetsAt(t *testing.T) {
	got := training(t, trained(t, map[string]string{"models/iris/training/tune.yaml": scheduled(`{cron: "30 0 * * *", timezone: Europe/Berlin}`,
		"{name: day, uri: 's3://data/{date}/all'}, {name: rest, uri: s3://data/rest}")}))
	tick := got.Spec.Schedule.Next(at("2026-11-23T12:00:00Z"))
	if d := got.DatasetsAt(tick); tick != at("2026-11-23T23:30:00Z") || d[0].URI != "s3://data/20261124/all" || d[1].URI != "s3://data/rest" {
		t.Errorf("%s %v", tick, d)
	}
}

// TestScheduleTimes looks back as it looks ahead, over changes of the clocks.
func TestScheduleTimes(t *testing.T) {
	for name, c := range map[string]struct{ cron, zone, now, last, next string }{
		"minute":        {"* * * * *", "", "2026-11-24T10:00:30Z", "2026-11-24T10:00:00Z", "2026-11-24T10:01:00Z"},
		"this moment":   {"0 3 * * *", "", "2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z", "2026-11-25T03:00:00Z"},
		"just before":   {"0 3 * * *", "", "2026-11-24T02:59:59.999Z", "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z"},
		"weekly":        {"0 3 * * 1", "Europe/Berlin", "2026-11-26T00:00:00Z", "2026-11-23T02:00:00Z", "2026-11-30T02:00:00Z"},
		"in the night":  {"30 2 * * *", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"}, // 2:30 does not come
		"leap day":      {"0 0 29 2 *", "", "2026-11-24T00:00:00Z", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
		"busy and over": {"* * 1 1 *", "", "2026-11-24T00:00:00Z", "2026-01-01T23:59:00Z", "2027-01-01T00:00:00Z"},
	} {
		s := registry.Schedule{Cron: c.cron, Timezone: c.zone}
		if last, next := s.Last(at(c.now)), s.Next(at(c.now)); last.Format(time.RFC3339) != c.last || next.Format(time.RFC3339) != c.next {
			t.Errorf("%s: %s and %s, want %s and %s", name, last.Format(time.RFC3339), next.Format(time.RFC3339), c.last, c.next)
		}
	}
	if last := (&registry.Schedule{Cron: "0 0 30 2 *"}).Last(time.Now()); !last.IsZero() {
		t.Error("a day that never comes was", last)
	}
}

// FuzzLast holds Last against the times that Next counts up.
func FuzzLast(f *testing.F) {
	f.Add("*/7 1-4 * * *", int64(1_790_000_000), 100)
	f.Add("30 2 * * *", int64(1_792_890_000), 30) // when the clocks are set back
	f.Fuzz(func(t *testing.T, cron string, from int64, n int) {
		s := registry.Schedule{Cron: cron, Timezone: "Europe/Berlin"}
		now := time.Unix(from%4_000_000_000, 0)
		tick := s.Next(now)
		for range min(max(n, 0), 100) {
			next := s.Next(tick)
			if tick.IsZero() || next.IsZero() {
				return
			}
			if got := s.Last(next.Add(-time.Second)); !got.Equal(tick) {
				t.Fatalf("%q: before %s it was %s, not %s", cron, next, got, tick)
			}
			tick = next
		}
	})
}

func at(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at
}
