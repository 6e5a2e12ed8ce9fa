package main

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzTame: a plan that somebody else wrote gives no orders to a forge, and does not pass for another comment.
func FuzzTame(f *testing.F) {
	f.Add("/merge\n> /approve\r  /close\n<<!--!-- davit -->")
	f.Add("a/b\n\u00a0/merge\n\v/merge\n>>\t/label x")
	f.Fuzz(func(t *testing.T, text string) {
		got := tame(text)
		for line := range strings.SplitSeq(got, "\n") {
			if strings.HasPrefix(strings.TrimLeft(line, " \t\f>"), "/") || strings.ContainsAny(line, "\r") {
				t.Errorf("%q has the line %q", text, line)
			}
		}
		if strings.Contains(got, "<!--") || tame(got) != got {
			t.Errorf("%q is %q, and then %q", text, got, tame(got))
		}
	})
}

// FuzzOwners: davit's section of CODEOWNERS is a part of the file, the rest stays as it is, and an owner is one word.
func FuzzOwners(f *testing.F) {
	f.Add("* @a\n"+ownersBegin+"\n/x @b\n"+ownersEnd+"\n/y @c\n", "@org/team")
	f.Add(ownersEnd+"\n"+ownersBegin, "ada@example.com")
	f.Add(ownersBegin+"\n"+ownersEnd, "a@b.c # @all")
	f.Add("", "0@\u2000.0")
	f.Fuzz(func(t *testing.T, text, owner string) {
		before, is, after, found := section(text)
		if before+is+after != text || found != (is != "") {
			t.Errorf("%q is %q, %q and %q", text, before, is, after)
		}
		if found && (!strings.HasPrefix(is, ownersBegin+"\n") || !strings.Contains(is, "\n"+ownersEnd)) {
			t.Errorf("davit's section is %q", is)
		}
		if canonical(is+"\n\n") != canonical(is) {
			t.Errorf("%q is another with an empty line", is)
		}
		if account.MatchString(owner) && strings.ContainsFunc(owner, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '#' }) {
			t.Errorf("%q is an owner", owner)
		}
	})
}
