package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/reconciler/sops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// SealedError says that a Secret is encrypted and can't be decrypted with the keys there are. Others may come any time.
type SealedError struct {
	Ref v1alpha1.ObjectRef
	Err error
}

func (e *SealedError) Error() string { return fmt.Sprintf("decrypting %s: %v", e.Ref, e.Err) }

func (e *SealedError) Unwrap() error { return e.Err }

// unseal decrypts what SOPS encrypted, so late that an object that needs no request needs no key either. The inventory's
// hash is of the ciphertext: one of a short password could be guessed by whoever reads the ModelRelease.
func (c *Cluster) unseal(ctx context.Context, m *member) error {
	if !sops.Encrypted(m.object) {
		return nil
	}
	var keys sops.Keys
	if c.cfg.Decryption != nil {
		var err error
		if keys, err = c.cfg.Decryption(ctx); err != nil {
			return &SealedError{m.ref, err}
		}
	}
	o := m.object.DeepCopy()
	err := sops.Decrypt(ctx, o, keys)
	if content, ok := errors.AsType[*sops.ContentError](err); ok {
		return &RefusedError{m.ref, "decrypting: " + content.Error()}
	}
	if err != nil {
		return &SealedError{m.ref, err}
	}
	encodeSecret(o)
	m.object = o
	return nil
}

// planSealed is what an apply would do to a Secret, for who has no key to it: by what is recorded of the one that is there.
func (m *member) planSealed(live *unstructured.Unstructured, exists bool) error {
	switch {
	case errors.As(m.sealed, new(*RefusedError)):
		return m.sealed
	case !exists:
		m.action = Created
	case m.untouched(track(live)):
		m.action = Unchanged
	default:
		m.action, m.fields = Configured, hiddenData(m.object, nil)
	}
	return nil
}

// driftSealed is the drift of a Secret as far as it can be told without a key: somebody took fields over, or it is
// another object.
func (m *member) driftSealed(live *unstructured.Unstructured) (*ObjectDrift, error) {
	switch {
	case errors.As(m.sealed, new(*RefusedError)):
		return nil, m.sealed
	case m.recorded.Hash != m.ref.Hash || m.untouched(track(live)):
		return nil, nil // what is recorded is another revision's, of which nothing can be said
	}
	m.ref.UID = live.GetUID()
	return &ObjectDrift{Ref: m.ref, Fields: hiddenData(m.object, others(live))}, nil
}

// hiddenData tells of each key of a Secret that it may be another one.
func hiddenData(o *unstructured.Unstructured, managers []string) (fields []FieldDrift) {
	for _, key := range sealedKeys(o) {
		fields = append(fields, FieldDrift{Path: ".data" + step{field: key}.String(), Live: Masked, Wanted: Masked, Managers: managers})
	}
	return fields
}

func others(live metav1.Object) (names []string) {
	for _, o := range owners(live) {
		names = append(names, o.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sealedKeys(o *unstructured.Unstructured) []string {
	keys := map[string]bool{}
	for _, field := range []string{"data", "stringData"} {
		under, _ := o.Object[field].(map[string]any)
		for key := range under {
			keys[key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
