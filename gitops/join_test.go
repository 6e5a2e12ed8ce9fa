package gitops

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestJoin fetches often, with changes taken back in between: the mirror keeps few packs, git finds it sound, and every
// commit is still there, also for a process that read the packs before they were joined.
func TestJoin(t *testing.T) {
	r := newRepo(t)
	for i := range 1000 {
		sum := sha256.Sum256(fmt.Append(nil, i)) // does not compress
		r.write(fmt.Sprintf("folder/%d.yaml", i), strings.Repeat(fmt.Sprintf("%x\n", sum), 3)+fmt.Sprintf("%x", sum[7:]))
	}
	r.commit("many files", "a.yaml", "0")
	srv := serve(t, r, "")
	dir := filepath.Join(t.TempDir(), "mirror")
	cfg := Config{URL: srv.url(""), Mirror: dir}
	s, other := open(t, cfg), open(t, cfg)
	packs := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "objects/pack/pack-*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	clone := packs()
	var tips []string
	for i := range maxPacks + 3 {
		tips = append(tips, r.commit("next", "a.yaml", fmt.Sprint(i%3))) // the third asks for what the server thinks is not here
		fetch(t, s, tips[i])
		if n := len(packs()); n > maxPacks+1 {
			t.Fatalf("%d packs after %d fetches", n, i+1)
		}
		if i == maxPacks/2 {
			if _, err := snapshot(t, other, tips[i]).ReadFile("a.yaml"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left := packs(); len(left) > 5 || len(clone) != 1 || !slices.Contains(left, clone[0]) {
		t.Errorf("packs %v, want few, and the clone's %v, which is larger than all of the others, among them", left, clone)
	}
	m := &repo{t: t, dir: dir, clock: r.clock}
	m.git("fsck", "--full", "--strict")
	for _, reader := range []*Source{s, other} {
		for i, tip := range tips {
			if data, err := snapshot(t, reader, tip).ReadFile("a.yaml"); string(data) != fmt.Sprint(i%3) {
				t.Fatalf("a.yaml at %s: %q, %v", tip, data, err)
			}
		}
	}
}
