package gitops

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMergeBase holds every pair of commits of random histories, with merges and criss-crosses, against git's own answer.
func TestMergeBase(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRepo(t)
			random := rand.New(rand.NewPCG(seed, 1))
			tree := r.git("write-tree")
			var all []string
			for i := range 25 {
				r.clock = r.clock.Add(time.Minute)
				args := []string{"commit-tree", "-m", fmt.Sprint(i), tree}
				for n := range min(len(all), 1+random.IntN(2)) {
					parent := all[max(0, len(all)-1-random.IntN(5))]
					if n == 0 || !slices.Contains(args, parent) {
						args = append(args, "-p", parent)
					}
				}
				all = append(all, r.git(args...))
				r.git("tag", fmt.Sprintf("c%d", i), all[i])
			}
			r.git("update-ref", "refs/heads/main", all[len(all)-1])
			s := r.open("")
			for _, a := range all {
				for _, b := range all[random.IntN(5):] {
					got, err := s.MergeBase(t.Context(), ParseHash(a), ParseHash(b))
					if err != nil {
						t.Fatal(err)
					}
					want := strings.Fields(r.git("merge-base", "--all", a, b))
					if !slices.Contains(want, got.String()) {
						t.Errorf("merge base of %s and %s is %s, git says %s", a, b, got, want)
					}
					bases, err := s.MergeBases(t.Context(), ParseHash(a), ParseHash(b))
					if err != nil {
						t.Fatal(err)
					}
					var names []string
					for _, h := range bases {
						names = append(names, h.String())
					}
					slices.Sort(names)
					if slices.Sort(want); !slices.Equal(names, want) {
						t.Errorf("merge bases of %s and %s are %s, git says %s", a, b, names, want)
					}
				}
			}
		})
	}
}

// TestMergeBaseCut wants no guess where a clone was cut off, and an answer where that does not matter.
func TestMergeBaseCut(t *testing.T) {
	r := newRepo(t)
	for i := range 6 {
		r.write("f", fmt.Sprint(i))
		r.commit(fmt.Sprint(i))
	}
	r.git("switch", "-q", "-c", "change", "HEAD~3")
	r.write("g", "1")
	r.commit("change")
	for _, c := range []struct {
		depth string
		cut   bool
	}{{"1", true}, {"3", true}, {"4", false}, {"5", false}} {
		t.Run(c.depth, func(t *testing.T) {
			clone := &repo{t: t, dir: t.TempDir(), clock: r.clock}
			clone.git("clone", "-q", "--no-single-branch", "--depth", c.depth, "file://"+r.dir, ".")
			s := clone.open("")
			main, change := ParseHash(clone.git("rev-parse", "origin/main")), ParseHash(clone.git("rev-parse", "origin/change"))
			base, err := s.MergeBase(t.Context(), main, change)
			if c.cut != errors.Is(err, ErrShallow) {
				t.Fatalf("%v, %v", base, err)
			}
			if want := r.git("merge-base", "main", "change"); !c.cut && base.String() != want {
				t.Errorf("%s, want %s", base, want)
			}
			if same, err := s.MergeBase(t.Context(), main, main); err != nil || same != main {
				t.Errorf("of a commit and itself: %s, %v", same, err)
			}
		})
	}
}
