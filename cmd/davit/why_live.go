package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/reconciler/why"
	"github.com/davit-dev/davit/registry"
)

// patience is how long a cluster may take to answer before Git alone is asked.
var patience = 5 * time.Second

// liveObject is the object in the cluster.
type liveObject struct {
	*cluster.Origin
	cluster   *cluster.Cluster
	namespace string
	key       registry.Key // by its labels
}

// live finds the object in the cluster; nil without a cluster, and when it is not there.
func (w *inquiry) live(ctx context.Context) (*liveObject, error) {
	config, err := w.app.rest()
	if err != nil {
		if w.app.kubeconfig != "" || w.app.context != "" {
			return nil, err
		}
		return nil, nil
	}
	config.Timeout = patience
	target, err := cluster.New(ctx, cluster.Config{REST: config})
	if err != nil {
		return nil, err
	}
	kind := w.object.Kind
	if w.object.Group != "" {
		kind += "." + w.object.Group
	}
	namespaces := []string{w.namespace}
	if w.namespace == "" {
		namespaces = slices.Compact(slices.Sorted(maps.Values(w.places)))
	}
	var found []*liveObject
	for _, namespace := range namespaces {
		o, err := target.Origin(ctx, namespace, kind, w.object.Name)
		if err != nil && !apierrors.IsForbidden(err) {
			fmt.Fprintf(w.cmd.ErrOrStderr(), "davit: without the cluster: %v\n", err)
			return nil, nil
		}
		if o != nil {
			labels := o.Top().Labels
			key := registry.Key{Environment: labels[cluster.LabelEnvironment], Name: labels[cluster.LabelRelease]}
			found = append(found, &liveObject{o, target, namespace, key})
		}
	}
	if len(found) > 1 {
		var each []string
		for _, l := range found {
			each = append(each, "-n "+l.namespace)
		}
		return nil, usage{fmt.Errorf("%s is in several namespaces; pass %s", w.object, join(each))}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// applied answers for what is in the cluster, and says where the branch asks for something else.
func (w *inquiry) applied(ctx context.Context, l *liveObject) (*origin, error) {
	top := l.Top()
	q := why.Question{Tip: w.snapshot.Hash(), Release: l.key, Field: w.field}
	q.Object = why.Object{Kind: top.Kind, Group: top.GroupVersionKind().Group, Name: top.Name}
	if l.Chain[0].Kind == "Pod" && len(l.Chain) > 1 && len(q.Field) > 0 {
		q.Field = append(why.Path{"spec", "template"}, q.Field...)
		w.field = q.Field
	}
	if !l.Davit || l.key.Name == "" {
		return &origin{Object: objectTitle(l), Namespace: l.namespace, Managers: l.Managers, Lines: []saidLine{}}, nil
	}
	mr := l.statusOf(ctx)
	revision := v1alpha1.Revision{}
	if mr != nil {
		revision = mr.Status.Applied
		if h := mr.Status.Healthy; h.Rollout != "" && strings.Contains(top.Name+"-", "-"+h.Rollout+"-") {
			revision = h
		}
		if revision.Rollout != "" { // by another name at another commit
			q.Object.Name = strings.TrimSuffix(strings.ReplaceAll(top.Name+"-", "-"+revision.Rollout+"-", "-"), "-")
		}
	}
	if mr != nil && mr.Spec.Pin != nil && mr.Spec.Pin.Version != "" {
		q.Version = revision.Version
	}
	if revision.Commit != "" {
		at, err := w.source.Resolve(ctx, revision.Commit)
		if err != nil {
			fmt.Fprintf(w.cmd.ErrOrStderr(), "davit: commit %s, which is applied, is not in this repository (git fetch); this is of %s\n", short(revision.Commit), short(q.Tip.String()))
		} else {
			q.Tip = at
		}
	}
	answer, err := why.Ask(ctx, w.source, q)
	if err != nil {
		if setters := l.Setters(w.field); len(w.field) > 0 && len(setters) > 0 {
			return &origin{Object: objectTitle(l), Namespace: l.namespace, Release: l.key.String(), Field: w.field.String(), Managers: setters, Lines: []saidLine{}}, nil
		}
		return nil, err
	}
	out := w.origin(l.key, answer)
	out.Object, out.At, out.Image = objectTitle(l), q.Tip.String(), revision.Image
	if setters := l.Setters(w.field); len(w.field) > 0 {
		out.Managers = setters
	}
	out.stands(mr, revision)
	if q.Tip != w.snapshot.Hash() {
		q.Tip, q.Version = w.snapshot.Hash(), ""
		if tip, err := why.Ask(ctx, w.source, q); err != nil {
			out.Tip, out.TipFault = nil, err.Error()
		} else if tip.Commit.Hash != answer.Commit.Hash || answer.Pinned {
			out.Tip = w.origin(l.key, tip)
			out.Tip.At = q.Tip.String()
		}
	}
	return out, nil
}

// objectTitle is the object asked for, and what it belongs to.
func objectTitle(l *liveObject) string {
	var names []string
	for _, o := range l.Chain {
		names = append(names, o.GroupVersionKind().GroupKind().String()+"/"+o.Name)
	}
	return strings.Join(names, " of ")
}

// stands tells how the release stands, where that says why the object is as it is.
func (o *origin) stands(mr *v1alpha1.ModelRelease, revision v1alpha1.Revision) {
	if mr == nil {
		return
	}
	if revision.Version != "" {
		o.Version = revision.Version
	}
	o.Phase = string(status.Phase(mr))
	if held := mr.Status.Held; held != nil {
		o.Held = fmt.Sprintf("%s %s is held: %s", orDash(held.Version), short(held.Commit), held.Reason)
	}
	if pin := mr.Spec.Pin; pin != nil {
		o.Pinned = "at " + short(pin.Commit)
		if pin.Version != "" {
			o.Pinned = fmt.Sprintf("to %s, %s", pin.Version, o.Pinned)
		}
		o.Pinned += " by " + orDash(pin.By)
		if pin.Reason != "" {
			o.Pinned += ": " + pin.Reason
		}
	}
}
