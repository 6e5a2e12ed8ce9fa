package main

import (
	"context"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry/gate"
)

// approved is an approval that counted.
type approved struct {
	By   string    `json:"by"`
	Role string    `json:"role"`
	At   time.Time `json:"at"`
}

// approvals are those that counted for a change by the policy in the repository, as long as it lasted: an approval may have
// come after it.
func (p *past) approvals(ctx context.Context, c history.Change) (list []approved, err error) {
	if c.To == "" {
		return nil, nil
	}
	last, err := p.Last(ctx, p.tip, c)
	if err != nil {
		return nil, err
	}
	release, err := releaseIn(ctx, p.source, last, c.Release)
	if err != nil { // it has a fault there, and nothing is told
		return nil, ctx.Err()
	}
	snapshot, err := p.source.Snapshot(ctx, last)
	if err != nil {
		return nil, err
	}
	all, err := gate.Counted(snapshot, release, nil)
	for _, a := range all {
		list = append(list, approved{a.By, a.Role, a.At.UTC()})
	}
	return list, err
}

const approvedBy = "; approved by "

// approvers are those who approved, as they are printed behind who made the change.
func (c change) approvers() string {
	var names []string
	for _, a := range c.Approvals {
		names = append(names, a.By+" ("+a.Role+")")
	}
	if len(names) == 0 {
		return ""
	}
	return approvedBy + strings.Join(names, ", ")
}
