package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// annotationCopiedFrom says which Secret another one is a copy of, as "namespace/name", and by it that davit may
	// write and delete that.
	annotationCopiedFrom = "davit.dev/copied-from"
	// annotationCopiedFor are the ModelRegistries that want the copy, with commas between them. A copy goes with the last.
	annotationCopiedFor = "davit.dev/copied-for"
	labelManagedBy      = "app.kubernetes.io/managed-by"
)

// SecretCopy is a Secret that is to be in other namespaces too.
type SecretCopy struct {
	// From is "namespace/name" of the Secret; the copies have its name.
	From string
	Name string
	Type corev1.SecretType
	Data map[string][]byte
}

// PullSecret reads a Secret of type kubernetes.io/dockerconfigjson. Errors hold nothing of it.
func (c *Cluster) PullSecret(ctx context.Context, namespace, name string) (SecretCopy, error) {
	secret, err := c.typed.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return SecretCopy{}, fmt.Errorf("reading Secret %s/%s: %w", namespace, name, err)
	}
	if secret.Type != corev1.SecretTypeDockerConfigJson {
		return SecretCopy{}, fmt.Errorf("Secret %s/%s is of type %s; kubelets pull with kubernetes.io/dockerconfigjson alone (kubectl create secret docker-registry)", namespace, name, secret.Type)
	}
	return SecretCopy{From: namespace + "/" + name, Name: name, Type: secret.Type, Data: secret.Data}, nil
}

// errNotACopy is why a Secret is left as it is.
var errNotACopy = errors.New("it is there already and no copy of davit's; delete or rename it, or take the name out of the grant's pullSecrets")

// CopySecret brings a copy into a namespace and up to date, as whom objects are written as: that identity has to get,
// create and update Secrets there. One that is somebody else's is never written. A namespace that is not there is no error:
// it has no pods either.
func (c *Cluster) CopySecret(ctx context.Context, namespace string, from SecretCopy) error {
	secrets := c.as.typed.CoreV1().Secrets(namespace)
	want := from.in(namespace, c.owner)
	err := c.write(ctx, func() error {
		live, err := secrets.Get(ctx, from.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			_, err = secrets.Create(ctx, want, metav1.CreateOptions{FieldManager: Manager})
			if apierrors.IsNotFound(err) { // so is the namespace
				return nil
			}
			return err
		case err != nil:
			return err
		case namespace+"/"+from.Name == from.From: // the Secret itself
			return nil
		case live.Annotations[annotationCopiedFrom] != from.From:
			return errNotACopy
		}
		want.Annotations[annotationCopiedFor] = withOwner(live.Annotations[annotationCopiedFor], c.owner)
		switch {
		case live.Type != want.Type: // it can't be changed
			if err := secrets.Delete(ctx, from.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &live.UID}}); err != nil {
				return err
			}
			_, err = secrets.Create(ctx, want, metav1.CreateOptions{FieldManager: Manager})
			return err
		case reflect.DeepEqual(live.Data, want.Data) && live.Annotations[annotationCopiedFor] == want.Annotations[annotationCopiedFor]:
			return nil
		}
		live.Data, live.Annotations[annotationCopiedFor] = want.Data, want.Annotations[annotationCopiedFor]
		_, err = secrets.Update(ctx, live, metav1.UpdateOptions{FieldManager: Manager})
		return err
	})
	if err != nil {
		return fmt.Errorf("copying Secret %s to namespace %s: %w", from.From, namespace, err)
	}
	return nil
}

func (s SecretCopy) in(namespace, owner string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Name, Namespace: namespace, Labels: map[string]string{labelManagedBy: Manager},
			Annotations: map[string]string{annotationCopiedFrom: s.From, annotationCopiedFor: owner},
		},
		Type: s.Type, Data: maps.Clone(s.Data),
	}
}

// RemoveCopy takes this owner's wish for a copy of a Secret back, and deletes it from the namespace when nobody else wants
// it; what is no copy of that Secret stays.
func (c *Cluster) RemoveCopy(ctx context.Context, namespace, from, name string) error {
	secrets := c.as.typed.CoreV1().Secrets(namespace)
	err := c.write(ctx, func() error {
		live, err := secrets.Get(ctx, name, metav1.GetOptions{})
		if err != nil || live.Annotations[annotationCopiedFrom] != from {
			return err
		}
		had := live.Annotations[annotationCopiedFor]
		switch left := withoutOwner(had, c.owner); left {
		case had:
			return nil
		case "":
			return secrets.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion}})
		default:
			live.Annotations[annotationCopiedFor] = left
			_, err = secrets.Update(ctx, live, metav1.UpdateOptions{FieldManager: Manager})
			return err
		}
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing the copy of Secret %s from namespace %s: %w", from, namespace, err)
	}
	return nil
}

// copied says whether this owner wants a copy that is there.
func (c *Cluster) copied(ctx context.Context, namespace, from, name string) (bool, error) {
	live, err := c.as.metadata.Resource(secretResource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the copy of Secret %s in namespace %s: %w", from, namespace, err)
	}
	owners := live.Annotations[annotationCopiedFor]
	return live.Annotations[annotationCopiedFrom] == from && withoutOwner(owners, c.owner) != owners, nil
}

func withOwner(owners, owner string) string {
	if owners == "" {
		return owner
	}
	all := strings.Split(owners, ",")
	if !slices.Contains(all, owner) {
		all = append(all, owner)
		slices.Sort(all)
	}
	return strings.Join(all, ",")
}

func withoutOwner(owners, owner string) string {
	all := strings.Split(owners, ",")
	return strings.Join(slices.DeleteFunc(all, func(name string) bool { return name == owner }), ",")
}
