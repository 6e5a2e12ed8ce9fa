package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"github.com/davit-dev/davit/reconciler/sops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ApplyOptions are the policy of one apply. The zero value is the careful one.
type ApplyOptions struct {
	OnImmutable OnImmutable
}

// OnImmutable says what to do about a change of a field that can't be changed.
type OnImmutable string

// The policies for immutable fields.
const (
	Fail     OnImmutable = "" // a *RefusedError
	Recreate OnImmutable = "recreate"
)

// Apply brings objects into mr's namespace by server-side apply, in stages, parallel within one. An object that
// mr's inventory records with the same content and a running Watcher shows untouched costs no request; without
// a Watcher it is looked up, and sent only if it was replaced or davit lost a field of it, unless it is
// annotated davit.dev/drift: ignore. It deletes nothing but what ApplyOptions.OnImmutable allows. A stage that
// had an error is finished and the next not begun; the ChangeSet tells what was done.
//
// An object refused for its content is a *RefusedError, one that exists and is somebody else's a
// *ConflictError, one that is being deleted or runs on a *BusyError, a Secret that no key decrypts a *SealedError;
// every other error passes, as far as anyone can know.
func (c *Cluster) Apply(ctx context.Context, mr *v1alpha1.ModelRelease, objects []*unstructured.Unstructured, opts ApplyOptions) (ChangeSet, error) {
	members, err := c.members(mr, objects)
	if err != nil {
		return ChangeSet{Inventory: mr.Status.Inventory}, err
	}
	if w := c.watcher.Load(); w != nil {
		w.Track(Kinds(objects)...)
	}
	for s := range stages {
		var work sync.WaitGroup
		for _, m := range members {
			m.opts = opts
			if m.stage == s {
				work.Go(func() { m.err = c.applyOne(ctx, m) })
			}
		}
		work.Wait()
		if err = failure(members); err != nil {
			break
		}
	}
	return applied(mr, members), err
}

// member is one object on its way into the cluster. Each is worked on by one goroutine.
type member struct {
	ref      v1alpha1.ObjectRef
	recorded v1alpha1.ObjectRef
	stage    int
	object   *unstructured.Unstructured
	mapping  *meta.RESTMapping
	client   metadata.ResourceInterface
	set      string    // the release's ApplySet
	owned    types.UID // of the object that is davit's; empty: there should be none
	opts     ApplyOptions
	action   Action       // empty: not tried
	from     []string     // managers that lost fields
	fields   []FieldDrift // that a plan changes
	sealed   error        // of a plan: why the object is still encrypted
	err      error
}

// members prepares objects: kinds looked up, namespace and ApplySet set, content hashed. It sends nothing but
// discovery.
func (c *Cluster) members(mr *v1alpha1.ModelRelease, objects []*unstructured.Unstructured) ([]*member, error) {
	var members []*member
	for _, o := range objects {
		gvk := o.GroupVersionKind()
		m := &member{
			ref:   v1alpha1.ObjectRef{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Name: o.GetName()},
			stage: stage(gvk.GroupKind()),
		}
		mapping, err := c.mapping(gvk)
		if err != nil {
			return nil, fmt.Errorf("applying %s: %w", m.ref, err)
		}
		if err := c.permitted(m.ref, mapping, o.GetNamespace(), mr.Namespace); err != nil {
			return nil, err
		}
		m.object = &unstructured.Unstructured{Object: shallow(o.Object)} // the given one is not changed
		if gvk.GroupKind() == kindSecret {
			m.object = o.DeepCopy()
		}
		m.object.SetNamespace(mr.Namespace)
		labels := m.object.GetLabels() // a copy
		if labels == nil {
			labels = map[string]string{}
		}
		m.set = setID(mr)
		labels[applySetPartOf] = m.set
		if labels[LabelRelease] == "" { // the watches select by it
			labels[LabelRelease] = mr.Name[strings.LastIndex(mr.Name, ".")+1:]
		}
		m.object.SetLabels(labels)
		encodeSecret(m.object)
		m.mapping = mapping
		m.client = c.as.metadata.Resource(mapping.Resource).Namespace(mr.Namespace)
		if m.ref.Hash, err = hash(m.object.Object); err != nil {
			return nil, fmt.Errorf("hashing %s: %w", m.ref, err)
		}
		m.recorded, _ = find(mr.Status.Inventory, m.ref)
		m.owned = m.recorded.UID
		members = append(members, m)
	}
	return members, nil
}

// permitted refuses an object outside the namespace that it is applied in, and a kind that is not allowed here.
func (c *Cluster) permitted(ref v1alpha1.ObjectRef, mapping *meta.RESTMapping, namespace, in string) error {
	switch {
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return &RefusedError{ref, "it is cluster-wide, and a release holds namespaced objects only"}
	case namespace != "" && namespace != in:
		return &RefusedError{ref, fmt.Sprintf("it is in namespace %s, and its release in %s", namespace, in)}
	case len(c.kinds) > 0 && !slices.Contains(c.kinds, ref.GroupKind()):
		return &RefusedError{ref, fmt.Sprintf("kind %s is not allowed here; the kinds this environment allows are %s in its ModelRegistry", ref.GroupKind(), joinKinds(c.kinds))}
	}
	return nil
}

// failure is a refusal if there is one, or else a conflict, since those will not pass, or all errors.
func failure(members []*member) error {
	var errs []error
	var conflict error
	for _, m := range members {
		var refused *RefusedError
		var other *ConflictError
		switch {
		case errors.As(m.err, &refused):
			return m.err
		case errors.As(m.err, &other) && conflict == nil:
			conflict = m.err
		}
		errs = append(errs, m.err)
	}
	if conflict != nil {
		return conflict
	}
	return errors.Join(errs...)
}

func applied(mr *v1alpha1.ModelRelease, members []*member) ChangeSet {
	var set ChangeSet
	var rendered []v1alpha1.ObjectRef
	for _, m := range members {
		rendered = append(rendered, m.ref)
		switch {
		case m.action != "":
			set.Changes = append(set.Changes, Change{Ref: m.ref, Action: m.action, From: m.from, Fields: m.fields})
			set.Inventory = append(set.Inventory, m.ref)
		case m.recorded.Name != "":
			set.Inventory = append(set.Inventory, m.recorded)
		}
	}
	for _, ref := range mr.Status.Inventory {
		if _, ok := find(rendered, ref); !ok {
			ref.Stale = true
			set.Inventory = append(set.Inventory, ref)
		}
	}
	sortRefs(set.Inventory)
	return set
}

// hash is of v's JSON, whose keys encoding/json sorts.
func hash(v any) (string, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:10]), nil
}

// encodeSecret moves a Secret's stringData to data: the API server does so too, but leaves a field that is not
// there in davit's name, and what others do to data would be no drift.
func encodeSecret(o *unstructured.Unstructured) {
	plain, found, err := unstructured.NestedStringMap(o.Object, "stringData")
	if !found || err != nil || o.GroupVersionKind().GroupKind() != kindSecret || sops.Encrypted(o) {
		return
	}
	for key, value := range plain {
		if unstructured.SetNestedField(o.Object, base64.StdEncoding.EncodeToString([]byte(value)), "data", key) != nil {
			return // data is no map: the API server will say so
		}
	}
	unstructured.RemoveNestedField(o.Object, "stringData")
}
