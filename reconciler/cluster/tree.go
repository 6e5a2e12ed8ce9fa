package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// treeLimit is how many objects of a kind a Tree holds, and how many of an inventory it looks at: it is for people.
const treeLimit = 200

// Node is one object of a release, or one that an object of a release made.
type Node struct {
	// Ref has the name; what davit records of it is there for its own objects alone.
	Ref v1alpha1.ObjectRef
	// Health is by the rules of a release's health. State is "" where nobody can tell.
	Health Health
	// Detail is what there is to count, "2 of 3 ready"; "" for nothing.
	Detail string
	// Created is zero for one that is not there.
	Created time.Time
	// Own says that davit applied it, Deleting that it goes.
	Own, Deleting bool
	// Pod is of a pod.
	Pod *PodInfo
	// Below are those that it owns, by kind and name.
	Below []*Node
}

// Tree is what there is of a release in its cluster.
type Tree struct {
	// Objects are those that davit applied, in the inventory's order.
	Objects []*Node
	// Pods are all of the release's pods, the oldest first, those too that no object owns any more.
	Pods []*Node
	// Older is how many workloads of earlier revisions without pods are left out, More says that there is more than a Tree
	// holds.
	Older int
	More  bool
}

// Tree reads what there is of a release: its objects, what they made by owner references, and its pods. Of objects only
// metadata is read, as whom davit writes them, so that no secret is; their health is the running Watcher's, if there is one.
// What of it could not be had is told by the error, and the rest is there all the same.
func (c *Cluster) Tree(ctx context.Context, mr *v1alpha1.ModelRelease, opts HealthOptions) (*Tree, error) {
	t := &treeMaker{c: c, mr: mr, tree: &Tree{}, v: view{w: c.watcher.Load(), namespace: mr.Namespace, release: mr.Namespace + "/" + mr.Spec.Release, timeout: opts.StartupTimeout, now: time.Now()}}
	var work sync.WaitGroup
	work.Go(func() { t.objects(ctx, opts.Exprs) })
	for _, read := range t.made() {
		work.Go(func() { t.add(read(ctx)) })
	}
	work.Wait()
	t.hang()
	return t.tree, errors.Join(t.errs...)
}

type treeMaker struct {
	c    *Cluster
	mr   *v1alpha1.ModelRelease
	v    view
	tree *Tree

	mu    sync.Mutex
	found []owned
	errs  []error
}

// owned is an object and who owns it.
type owned struct {
	node  *Node
	owner types.UID
}

func (t *treeMaker) add(all []owned, more bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found = append(t.found, all...)
	t.tree.More = t.tree.More || more
	if err != nil {
		t.errs = append(t.errs, err)
	}
}

// objects are those of the inventory.
func (t *treeMaker) objects(ctx context.Context, exprs []HealthExpr) {
	refs := t.mr.Status.Inventory
	if len(refs) > treeLimit {
		refs = refs[:treeLimit]
		t.add(nil, true, nil)
	}
	nodes := make([]*Node, len(refs))
	var work sync.WaitGroup
	turns := make(chan struct{}, 8)
	for i, ref := range refs {
		work.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			var err error
			if nodes[i], err = t.object(ctx, ref, exprs); err != nil {
				t.add(nil, false, err)
			}
		})
	}
	work.Wait()
	t.tree.Objects = nodes
}

func (t *treeMaker) object(ctx context.Context, ref v1alpha1.ObjectRef, exprs []HealthExpr) (*Node, error) {
	n := &Node{Ref: ref, Own: true}
	client, err := t.c.meta(t.mr.Namespace, ref.GroupVersionKind())
	if err != nil {
		return n, err
	}
	live, err := client.Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		n.Health = progressing("Missing", "%s is not there", ref)
		return n, nil
	case err != nil:
		return n, err
	}
	n.Created, n.Deleting = live.CreationTimestamp.Time, live.DeletionTimestamp != nil
	n.Ref.UID = live.UID
	switch {
	case ref.GroupKind() == kindSecret:
		n.Health.State = Ready // that it is there is all there is to it
	case t.v.w != nil:
		n.Health = t.v.object(ctx, ref, exprs)
	}
	return n, nil
}

// hang puts each object below its owner, and leaves out what is of the past.
func (t *treeMaker) hang() {
	at := map[types.UID]*Node{}
	for _, n := range t.tree.Objects {
		at[n.Ref.UID] = n
	}
	for _, o := range t.found {
		if at[o.node.Ref.UID] == nil {
			at[o.node.Ref.UID] = o.node
		}
		if o.node.Pod != nil {
			t.tree.Pods = append(t.tree.Pods, o.node)
		}
	}
	for _, o := range t.found {
		if above := at[o.owner]; above != nil && above != o.node && at[o.node.Ref.UID] == o.node {
			above.Below = append(above.Below, o.node)
		}
	}
	for _, n := range at {
		n.Below = slices.DeleteFunc(n.Below, func(below *Node) bool {
			past := below.Ref.GroupKind() == kindReplicaSet && below.Detail == "" && len(below.Below) == 0
			if past {
				t.tree.Older++
			}
			return past
		})
		slices.SortFunc(n.Below, byAge)
	}
	slices.SortFunc(t.tree.Pods, byAge)
}

func byAge(a, b *Node) int {
	return cmp.Or(strings.Compare(a.Ref.Kind, b.Ref.Kind), a.Created.Compare(b.Created), strings.Compare(a.Ref.Name, b.Ref.Name))
}
