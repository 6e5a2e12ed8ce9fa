package main

import (
	"cmp"
	"context"
	"slices"
	"unicode/utf8"

	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

var listHeader = []any{"RELEASE", "VERSION", "PHASE", "SINCE", "COMMIT", "BY", "TO DO"}

// list is one row per release, those that need a person first and otherwise by name.
func (v *view) list(ctx context.Context, releases []*v1alpha1.ModelRelease) [][]any {
	type row struct {
		rank  status.Rank
		cells []any
	}
	var rows []row
	for _, mr := range releases {
		by := "-"
		if c, ok := v.Commit(ctx, mr.Status.Applied.Commit); ok {
			by = shorten(c.Author.Name, 16)
		}
		urgent, todo := v.ToDo(ctx, mr, v.owner(mr))
		rows = append(rows, row{urgent, []any{
			keyOf(mr).String(), status.Versions(mr), status.Stands(mr), age(mr.Status.Applied.Time.Time), orDash(short(mr.Status.Applied.Commit)), by, todo,
		}})
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.rank, b.rank) })
	var out [][]any
	for _, r := range rows {
		out = append(out, r.cells)
	}
	return out
}

// shorten cuts text to a number of characters.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
