package registry

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// What Schedule.Unchanged may say.
const (
	unchangedSkip  = "skip"
	unchangedTrain = "train"
)

// dateWord stands in a scheduled dataset's URI for the day of the schedule's time, in the schedule's zone.
const dateWord = "{date}"

// Next is the schedule's first time after a moment, in UTC; zero where there is none in the next five years.
func (s *Schedule) Next(after time.Time) time.Time {
	times, zone, err := crontab(s.Cron, s.Timezone)
	if err != nil {
		return time.Time{} // told where it was read
	}
	next := times.Next(after.In(zone))
	if next.IsZero() {
		return next
	}
	return next.UTC()
}

// farthestLast is how far back Last looks: a February 29 may be eight years away.
const farthestLast = 9 * 366 * 24 * time.Hour

// Last is the schedule's latest time that is not after now, in UTC; zero where there is none. Cron can only look ahead, so it
// asks from ever earlier moments, and then halves: some 50 questions at most.
func (s *Schedule) Last(now time.Time) time.Time {
	comes := func(from time.Time) bool {
		next := s.Next(from)
		return !next.IsZero() && !next.After(now)
	}
	back := time.Minute
	for !comes(now.Add(-back)) {
		if back *= 2; back > farthestLast {
			return time.Time{}
		}
	}
	from, after := now.Add(-back), now
	for after.Sub(from) > time.Second {
		if middle := from.Add(after.Sub(from) / 2); comes(middle) {
			from = middle
		} else {
			after = middle
		}
	}
	return s.Next(from)
}

// Datasets are what a run is trained on: the locked ones of a scheduled training, and else the spec's.
func (t *Training) Datasets() []Dataset {
	if !t.Locked() {
		return t.Spec.Datasets
	}
	out := make([]Dataset, len(t.Lock.Datasets))
	for i, d := range t.Lock.Datasets {
		out[i] = Dataset{Name: d.Name, URI: d.URI, SHA256: d.SHA256}
	}
	return out
}

// Locked says whether the training is scheduled and its lock fits its datasets: then it can run.
func (t *Training) Locked() bool {
	return t.Spec.Schedule != nil && t.Lock != nil && slices.EqualFunc(t.Lock.Datasets, t.Spec.Datasets, func(l LockedDataset, d Dataset) bool {
		return l.Name == d.Name && l.From == d.URI && (d.SHA256 == "" || l.SHA256 == d.SHA256)
	})
}

// Waits says whether it is scheduled and has no lock that fits: then nothing runs before the schedule's next time.
func (t *Training) Waits() bool { return t.Spec.Schedule != nil && !t.Locked() }

// DatasetsAt are the spec's datasets as they are asked for at one of the schedule's times.
func (t *Training) DatasetsAt(tick time.Time) []Dataset {
	out := slices.Clone(t.Spec.Datasets)
	_, zone, err := crontab(t.Spec.Schedule.Cron, t.Spec.Schedule.Timezone)
	if err != nil {
		return out // told where it was read
	}
	for i := range out {
		out[i].URI = strings.ReplaceAll(out[i].URI, dateWord, tick.In(zone).Format("20060102"))
	}
	return out
}

// Same says whether two locks ask for the same run.
func (s *Schedule) Same(a, b *Lock) bool {
	return slices.Equal(a.Datasets, b.Datasets) && (s.Unchanged != unchangedTrain || a.Tick.Equal(b.Tick))
}

// schedule checks when a training runs, and that this has it run more than once.
func (c *trainingCheck) schedule(s *TrainingSpec) {
	at := s.Schedule
	if at == nil {
		for i, d := range s.Datasets {
			if strings.Contains(d.URI, dateWord) {
				c.add([]string{"datasets", strconv.Itoa(i)}, "%s in the uri of dataset %q is filled in by a schedule, and there is none; write schedule: {cron: …}, or the day", dateWord, d.Name)
			}
		}
		return
	}
	if at.Cron == "" {
		c.add([]string{"schedule"}, `schedule.cron is missing; write five fields as in crontab, such as "0 3 * * 1"`)
	} else if times, _, err := crontab(at.Cron, at.Timezone); err != nil {
		c.add([]string{"schedule"}, "%v", err)
	} else if times.Next(time.Unix(0, 0)).IsZero() {
		c.add([]string{"schedule", "cron"}, "schedule %q never comes; write days that are in a month", at.Cron)
	}
	known := []string{unchangedSkip, unchangedTrain}
	if at.Unchanged != "" && !slices.Contains(known, at.Unchanged) {
		c.add([]string{"schedule", "unchanged"}, "schedule.unchanged: %q is not known%s", at.Unchanged, nearest(at.Unchanged, known))
	} else if at.Unchanged != unchangedTrain && !slices.ContainsFunc(s.Datasets, moves) {
		c.add([]string{"schedule"}, "no dataset can change, so the schedule trains once; write unchanged: train, or give a dataset that moves: without a sha256, or with %s in its uri", dateWord)
	}
}

// moves says whether a dataset may be another one at another time.
func moves(d Dataset) bool { return d.SHA256 == "" || strings.Contains(d.URI, dateWord) }
