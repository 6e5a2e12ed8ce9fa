package gitops

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOutside holds the answer against git's own, clocks that go backwards and unknown commits included.
func TestOutside(t *testing.T) {
	r := story(t)
	r.git("checkout", "-q", "-b", "late", "main~4")
	r.clock = r.clock.Add(-10 * 365 * 24 * time.Hour)
	r.commit("of another time", "late.txt", "1")
	r.git("checkout", "-q", "main")
	s := r.open("")
	all := strings.Fields(r.git("rev-list", "--all"))
	var hashes []Hash
	for _, h := range append(all, strings.Repeat("ab", 20)) {
		hashes = append(hashes, ParseHash(h))
	}
	for _, tip := range []string{"main", "main~3", "late", "side"} {
		within := strings.Fields(r.git("rev-list", tip))
		got, err := s.Outside(t.Context(), ParseHash(r.git("rev-parse", tip)), hashes...)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(slices.Clone(hashes), func(h Hash) bool { return slices.Contains(within, h.String()) })
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", tip, got, want)
		}
	}
	for _, rev := range []string{"main~1", "main^0", "side", "late", "main~5"} {
		is, err := s.IsFirstParent(t.Context(), ParseHash(r.git("rev-parse", rev)), ParseHash(r.git("rev-parse", "main")))
		want := slices.Contains(strings.Fields(r.git("rev-list", "--first-parent", "main")), r.git("rev-parse", rev))
		if is != want || err != nil {
			t.Errorf("%s: %v %v", rev, is, err)
		}
	}
	if s.Has(ParseHash(r.git("rev-parse", "main:a.txt"))) || !s.Has(hashes[0]) {
		t.Error("a blob is no commit")
	}
}

// TestVerifySince asks for the signature of each commit that git lists as new, and of no other, whatever the clocks say.
func TestVerifySince(t *testing.T) {
	key, public := sshKey(t, "ed25519")
	signers, err := ParseSigners("ada@example.com " + public)
	if err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	step := 0
	commit := func(signed bool) string {
		step++
		r.write("f"+strings.Repeat("x", step), "1")
		r.git("add", "-A")
		args := []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + key, "commit", "-q", "-m", "c"}
		if signed {
			args = append(args, "-S")
		}
		r.git(args...)
		return r.git("rev-parse", "HEAD")
	}
	merge := func(branch string) string {
		r.git("-c", "gpg.format=ssh", "-c", "user.signingkey="+key, "merge", "-q", "--no-ff", "-S", "-m", "merge", branch)
		return r.git("rev-parse", "HEAD")
	}
	root := commit(false)
	r.clock = r.clock.Add(24 * time.Hour)
	ahead := commit(false) // an unsigned commit of tomorrow, that was followed
	r.clock = r.clock.Add(-48 * time.Hour)
	base := commit(true)
	r.git("checkout", "-q", "-b", "good")
	commit(true)
	r.git("checkout", "-q", "-b", "bad", ahead)
	unsigned := commit(false)
	r.git("checkout", "-q", "-b", "of-old", ahead)
	commit(true)
	r.git("checkout", "-q", "main")
	good := merge("good")
	old := merge("of-old")
	bad := merge("bad")
	later := commit(true)
	s := r.open("")
	for name, c := range map[string]struct {
		tip   string
		since []string
		want  string // the commit that is not signed
	}{
		"nothing new":            {base, []string{base}, ""},
		"a signed branch":        {good, []string{base}, ""},
		"a branch from before":   {old, []string{good}, ""},
		"an unsigned branch":     {bad, []string{old}, unsigned},
		"an unsigned one below":  {later, []string{old}, unsigned},
		"accepted":               {later, []string{old, bad}, ""},
		"since an older one":     {later, []string{root}, "any"},
		"since an unknown one":   {old, []string{strings.Repeat("ab", 20), good}, ""},
		"back to what was there": {base, []string{later}, ""},
	} {
		var since []Hash
		for _, h := range c.since {
			since = append(since, ParseHash(h))
		}
		err := s.VerifySince(t.Context(), ParseHash(c.tip), signers, since...)
		var found *UnsignedError
		switch {
		case c.want == "" && err != nil, c.want != "" && !errors.As(err, &found):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && c.want != "any" && found.Commit.String() != c.want:
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// BenchmarkOutside is what each new tip costs.
func BenchmarkOutside(b *testing.B) {
	r := story(b)
	s := r.open("")
	tip, before := ParseHash(r.git("rev-parse", "main")), ParseHash(r.git("rev-parse", "main~1"))
	for b.Loop() {
		if got, err := s.Outside(b.Context(), tip, before); err != nil || len(got) > 0 {
			b.Fatal(got, err)
		}
	}
}
