package chaos_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// faultTable is what came of each fault.
type faultTable struct {
	mu   sync.Mutex
	rows []faultRow
}

type faultRow struct {
	name              string
	hits              int
	lasted, recovered time.Duration
}

func (f *faultTable) add(name string, hits int, lasted, recovered time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = append(f.rows, faultRow{name, hits, lasted, recovered})
}

// log tells each fault's worst recovery, and that of all.
func (f *faultTable) log(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rows) == 0 {
		return
	}
	slices.SortFunc(f.rows, func(a, b faultRow) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(b.recovered, a.recovered))
	})
	short := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	out := &strings.Builder{}
	fmt.Fprintf(out, "| %-34s | times | met | lasted | recovered after, at most |\n|---|---|---|---|---|\n", "fault")
	var all []time.Duration
	for i := 0; i < len(f.rows); {
		r, n := f.rows[i], 0
		for ; i < len(f.rows) && f.rows[i].name == r.name; i++ {
			all = append(all, f.rows[i].recovered)
			n++
		}
		fmt.Fprintf(out, "| %-34s | %d | %d | %s | %s |\n", r.name, n, r.hits, short(r.lasted), short(r.recovered))
	}
	slices.Sort(all)
	t.Logf("%d faults survived; recovered after %s (p50), %s (max)\n%s", len(all), short(all[len(all)/2]), short(all[len(all)-1]), out)
}
