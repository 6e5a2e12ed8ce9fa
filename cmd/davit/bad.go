package main

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/registry"
)

// promotesBad finds the releases that have a version that is marked bad and did not have it at a base revision; none
// without one.
func (a *app) promotesBad(ctx context.Context, base string, after *registry.Registry) (faults []registry.Fault, err error) {
	if base == "" {
		return nil, nil
	}
	old, err := a.revision(ctx, base)
	if err != nil {
		return nil, err
	}
	before, err := registry.Load(old)
	if err != nil {
		return nil, fmt.Errorf("reading the registry at %s: %w", base, err)
	}
	for _, r := range after.Releases {
		if fault := r.MarkedBad(before.Release(r.Key())); fault != nil {
			faults = append(faults, *fault)
		}
	}
	return faults, nil
}
