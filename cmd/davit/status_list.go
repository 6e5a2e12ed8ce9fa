package main

import (
	"cmp"
	"context"
	"slices"
	"unicode/utf8"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

var listHeader = []any{"RELEASE", "VERSION", "PHASE", "SINCE", "COMMIT", "BY", "TO DO"}

// list is one row per release, those that need a person first and otherwise by name.
func (v *view) list(ctx context.Context, releases []*v1alpha1.ModelRelease) [][]any {
	type row struct {
		rank  rank
		cells []any
	}
	var rows []row
	for _, mr := range releases {
		by := "-"
		if c, ok := v.commit(ctx, mr.Status.Applied.Commit); ok {
			by = shorten(c.Author.Name, 16)
		}
		urgent, todo := todo(mr, findings(mr, v.situation(ctx, mr)))
		rows = append(rows, row{urgent, []any{
			releaseOf(mr), versions(mr), stands(mr), age(mr.Status.Applied.Time.Time), orDash(short(mr.Status.Applied.Commit)), by, todo,
		}})
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.rank, b.rank) })
	var out [][]any
	for _, r := range rows {
		out = append(out, r.cells)
	}
	return out
}

// todo is how soon a person is needed, and in a word what to do: the command that helps, or what is waited for.
func todo(mr *v1alpha1.ModelRelease, all []finding) (urgent rank, word string) {
	urgent = well
	first := finding{Rank: well}
	for _, f := range all {
		urgent = min(urgent, f.Rank)
		if f.What != "cause" && f.Rank < first.Rank { // what is held says how to go on
			first = f
		}
	}
	const most = 40 // a kubectl command is for the page
	switch {
	case first.Rank == well:
		return urgent, "-"
	case first.Rank == passing:
		return urgent, first.Brief
	case len(first.Do) > 0 && len(first.Do[0]) <= most:
		return urgent, first.Do[0]
	}
	return urgent, "davit status " + releaseOf(mr)
}

// versions is the applied version and, while a claim has no outcome, the one on its way.
func versions(mr *v1alpha1.ModelRelease) string {
	is, next := mr.Status.Applied.Version, mr.Spec.Claim.Version
	if mr.Pending() && next != is && is != "" {
		return is + " → " + next
	}
	if is == "" {
		return orDash(next)
	}
	return is
}

// shorten cuts text to a number of characters.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
