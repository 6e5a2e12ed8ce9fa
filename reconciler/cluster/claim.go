package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// The labels and annotations of KEP-3659.
const (
	applySetID         = "applyset.kubernetes.io/id"
	applySetPartOf     = "applyset.kubernetes.io/part-of"
	applySetTooling    = "applyset.kubernetes.io/tooling"
	applySetGroupKinds = "applyset.kubernetes.io/contains-group-kinds"
)

// ErrConflict is a lost race: somebody else wrote the ModelRelease since it was read. Read it and decide again.
var ErrConflict = errors.New("the ModelRelease changed meanwhile")

// ErrOtherOwner says that another controller writes this release.
type ErrOtherOwner struct {
	Owner string
}

func (e *ErrOtherOwner) Error() string {
	return fmt.Sprintf("owned by %[1]s; use --take-over to replace it, or takeOver: [%[1]s] in the ModelRegistry", e.Owner)
}

// Target is what a controller sets out to apply.
type Target struct {
	Namespace, Environment, Release string
	// Commit is the full hash, Version the model version.
	Commit, Version string
	// Kinds are those of the objects about to be applied.
	Kinds []schema.GroupKind
	// Observed is the ModelRelease the decision was made on, and the claim fails with ErrConflict if it was
	// written since. When nil the present one is read first.
	Observed *v1alpha1.ModelRelease
}

// Claim records, by compare-and-swap, that this owner is about to apply a commit, and widens the kinds the
// release may hold, in one write. It creates the ModelRelease when there is none. The release of another
// owner is an *ErrOtherOwner unless Config.TakeOver; a lost race is ErrConflict. Given Observed, the status
// returned is Observed's: it may know more than was written.
//
// When an earlier claim never came to a status, the objects that it may have left are looked for and are in
// the returned Inventory, as stale, so that nothing is orphaned.
func (c *Cluster) Claim(ctx context.Context, t Target) (*v1alpha1.ModelRelease, error) {
	if c.owner == "" {
		return nil, errNoOwner
	}
	subject := fmt.Sprintf("claiming %s/%s", t.Environment, t.Release)
	mr := t.Observed
	if mr == nil {
		created, err := c.create(ctx, t)
		if err == nil {
			return created, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, fmt.Errorf("%s: %w", subject, err)
		}
		if mr, err = c.Release(ctx, t.Namespace, t.Environment, t.Release); err != nil {
			return nil, err
		}
		if mr == nil {
			return nil, fmt.Errorf("%s: %w", subject, ErrConflict)
		}
	}
	if o := mr.Spec.Owner; !c.mayTake(o) {
		return nil, fmt.Errorf("%s: %w", subject, &ErrOtherOwner{Owner: o})
	}
	claimed := mr.DeepCopy()
	c.mark(claimed, t)
	c.claims.Store(mr.Namespace+"/"+mr.Name, mr.Generation+1)
	claimed, err := c.send(ctx, c.releases.Put().Name(mr.Name), claimed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	if t.Observed != nil {
		claimed.Status = *mr.Status.DeepCopy()
	}
	if !mr.Pending() {
		return claimed, nil
	}
	if err := c.recover(ctx, claimed, groupKinds(mr)); err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	return claimed, nil
}

// mayTake says whether the releases of an owner may be written.
func (c *Cluster) mayTake(owner string) bool {
	return owner == "" || owner == c.owner || c.takeOver || slices.Contains(c.cfg.TakeOverFrom, owner)
}

// create claims a release that is thought to be new, without looking first.
func (c *Cluster) create(ctx context.Context, t Target) (*v1alpha1.ModelRelease, error) {
	mr := newRelease(t)
	c.mark(mr, t)
	c.claims.Store(mr.Namespace+"/"+mr.Name, int64(1))
	created, err := c.send(ctx, c.releases.Post(), mr)
	if apierrors.IsNotFound(err) {
		c.present.Delete(t.Namespace)
	}
	return created, err
}

var errNoOwner = errors.New("cluster: a claim or deletion needs Config.Owner")

func newRelease(t Target) *v1alpha1.ModelRelease {
	return &v1alpha1.ModelRelease{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: v1alpha1.Name(t.Environment, t.Release)},
		Spec:       v1alpha1.ModelReleaseSpec{Environment: t.Environment, Release: t.Release},
	}
}

// mark writes owner, claim and ApplySet into mr.
func (c *Cluster) mark(mr *v1alpha1.ModelRelease, t Target) {
	if mr.Labels == nil {
		mr.Labels = map[string]string{}
	}
	mr.Labels[LabelEnvironment] = t.Environment
	mr.Labels[LabelRelease] = t.Release
	mr.Labels[applySetID] = setID(mr)
	if mr.Annotations == nil {
		mr.Annotations = map[string]string{}
	}
	mr.Spec.Owner = c.owner
	mr.Spec.Claim = v1alpha1.Claim{
		Token: mr.Spec.Claim.Token + 1, Commit: t.Commit, Version: t.Version, Holder: c.holder, Time: metav1.Now(),
	}
	mr.Annotations[applySetTooling] = "davit/v1"
	kinds := append(groupKinds(mr), t.Kinds...)
	for _, ref := range mr.Status.Inventory {
		kinds = append(kinds, ref.GroupKind())
	}
	mr.Annotations[applySetGroupKinds] = joinKinds(kinds)
}

// setID is the ApplySet's ID of mr as its parent, by the formula of KEP-3659.
func setID(mr *v1alpha1.ModelRelease) string {
	parent := strings.Join([]string{mr.Name, mr.Namespace, v1alpha1.Kind, v1alpha1.GroupVersion.Group}, ".")
	sum := sha256.Sum256([]byte(parent))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

func groupKinds(mr *v1alpha1.ModelRelease) []schema.GroupKind {
	var kinds []schema.GroupKind
	for s := range strings.SplitSeq(mr.Annotations[applySetGroupKinds], ",") {
		if s != "" {
			kinds = append(kinds, schema.ParseGroupKind(s))
		}
	}
	return kinds
}

func joinKinds(kinds []schema.GroupKind) string {
	names := make([]string, 0, len(kinds))
	for _, k := range kinds {
		names = append(names, k.String())
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// recover adds to mr's inventory the members of its ApplySet that it does not list.
func (c *Cluster) recover(ctx context.Context, mr *v1alpha1.ModelRelease, kinds []schema.GroupKind) error {
	for _, kind := range kinds {
		m, err := c.mapper.RESTMapping(kind)
		if err != nil {
			continue // the kind is gone, and its objects with it
		}
		reader := c.metadata
		if kind == kindSecret {
			reader = c.as.metadata // davit itself reads no Secrets outside of its own namespace
		}
		list, err := reader.Resource(m.Resource).Namespace(mr.Namespace).
			List(ctx, metav1.ListOptions{LabelSelector: applySetPartOf + "=" + setID(mr)})
		if err != nil {
			return fmt.Errorf("looking for objects of kind %s: %w", kind, err)
		}
		for _, o := range list.Items {
			ref := v1alpha1.ObjectRef{
				Group: kind.Group, Version: m.GroupVersionKind.Version, Kind: kind.Kind, Name: o.Name, UID: o.UID, Stale: true,
			}
			known := slices.ContainsFunc(mr.Status.Inventory, ref.Same)
			if !known && metav1.GetControllerOf(&o) == nil {
				mr.Status.Inventory = append(mr.Status.Inventory, ref)
			}
		}
	}
	return nil
}
