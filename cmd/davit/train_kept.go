package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

// keptRun is a run whose record a ConfigMap keeps, where davit writes nothing to Git.
type keptRun struct {
	gitops.Run
	namespace string
}

// keptRuns reads those of the registry's environments, by hash: a record counts in its environment's namespace. What can't
// be read is told by tell.
func keptRuns(ctx context.Context, target *cluster.Cluster, models *registry.Registry, tell func(error)) (map[string]keptRun, error) {
	kept := map[string]keptRun{}
	var namespaces []string
	for _, e := range models.Environments {
		namespaces = append(namespaces, e.Spec.Namespace)
	}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		records, err := target.RunRecords(ctx, namespace)
		if apierrors.IsForbidden(err) {
			tell(err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			run, err := gitops.DecodeRun(r.Data)
			if err != nil {
				tell(fmt.Errorf("%s: %w", r.Where, err))
				continue
			}
			if e := models.Environments[run.Environment]; e != nil && e.Spec.Namespace == namespace {
				kept[run.Hash] = keptRun{run, namespace}
			}
		}
	}
	return kept, nil
}

// allRuns are those of the ledger in Git and, where the cluster can be asked, those that it keeps, Git's first. asked is
// why it could not be.
func (a *app) allRuns(ctx context.Context, models *registry.Registry) (runs map[string]gitops.Run, kept map[string]keptRun, asked, err error) {
	source, err := a.source(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	inGit, err := ledger(ctx, source)
	if err != nil {
		return nil, nil, nil, err
	}
	target, asked := a.cluster(ctx)
	if asked == nil {
		ctx, cancel := context.WithTimeout(ctx, clusterTime)
		defer cancel()
		var faults []error
		kept, asked = keptRuns(ctx, target, models, func(err error) { faults = append(faults, err) })
		asked = errors.Join(append(faults, asked)...)
	}
	return withKept(inGit, kept), kept, asked, nil
}

// withKept adds to Git's runs what it does not have.
func withKept(inGit map[string]gitops.Run, kept map[string]keptRun) map[string]gitops.Run {
	all := map[string]gitops.Run{}
	for hash, k := range kept {
		all[hash] = k.Run
	}
	for hash, run := range inGit {
		all[hash] = run
		delete(kept, hash)
	}
	return all
}

// recordKept writes a run's record to its ConfigMap, by the rules of the ledger in Git.
func (a *app) recordKept(ctx context.Context, namespace string, run gitops.Run, from ...gitops.RunState) error {
	target, err := a.cluster(ctx)
	if err != nil {
		return err
	}
	_, err = target.ChangeRunRecord(ctx, namespace, run.Hash, func(data []byte) ([]byte, error) {
		now, err := gitops.DecodeRun(data)
		if err == nil {
			now, err = run.Follows(now, from...)
		}
		if err != nil {
			return nil, err
		}
		return now.Encode()
	})
	return err
}
