package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Deployed is what the installed controller says of itself: the image of its container, and its Deployment's
// annotations. Both are empty when there is none.
func (c *Cluster) Deployed(ctx context.Context, namespace, name string) (image string, annotations map[string]string, err error) {
	d, err := c.typed.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading Deployment %s/%s: %w", namespace, name, err)
	}
	for _, container := range d.Spec.Template.Spec.Containers {
		if container.Name == name {
			image = container.Image
		}
	}
	return image, d.Annotations, nil
}

// Controller is how an installed controller fares.
type Controller struct {
	Image string
	// Account is the service account that its pods run as, in its namespace.
	Account string
	Health  Health
}

// Controller looks at a Deployment once; nil when there is none.
func (c *Cluster) Controller(ctx context.Context, namespace, name string) (*Controller, error) {
	image, _, err := c.Deployed(ctx, namespace, name)
	if err != nil || image == "" {
		return nil, err
	}
	d, h, err := c.fares(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	account := d.Spec.Template.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return &Controller{Image: image, Account: account, Health: h}, nil
}

// Await waits until all replicas of a Deployment are available at its present revision. tell learns, each time it
// changes, what it waits for. When ctx ends before, the error says why the pods are not ready, with the last that a
// crashed one wrote.
func (c *Cluster) Await(ctx context.Context, namespace, name string, tell func(string)) error {
	last := ""
	for {
		_, h, err := c.fares(ctx, namespace, name)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && h.State == Ready:
			return nil
		case err == nil && h.Sentence() != last:
			last = h.Sentence()
			tell(last)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("deployment %s/%s is not available: %w", namespace, name, errors.New(last))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// fares is a Deployment and its health, by its own status and then by what its pods say of the cause.
func (c *Cluster) fares(ctx context.Context, namespace, name string) (*appsv1.Deployment, Health, error) {
	d, err := c.typed.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, Health{}, fmt.Errorf("reading Deployment %s/%s: %w", namespace, name, err)
	}
	h := deploymentHealth(d)
	if h.State == Ready || h.State == Failed {
		return d, h, nil
	}
	pods, err := c.podsOf(ctx, d)
	if err != nil {
		return nil, Health{}, err
	}
	worse := podsHealth(pods, 0, time.Now())
	if worse.crash != nil && worse.LastLog == "" {
		worse.LastLog = c.LastLog(ctx, worse.crash.namespace, worse.crash.pod, worse.crash.container, worse.crash.previous)
	}
	return d, worst(worse, h), nil
}

// podsOf are those of the Deployment's newest ReplicaSet: what an older one's pods lack says nothing of this revision.
func (c *Cluster) podsOf(ctx context.Context, d *appsv1.Deployment) (pods []*corev1.Pod, err error) {
	opts := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)}
	sets, err := c.typed.AppsV1().ReplicaSets(d.Namespace).List(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("listing ReplicaSets: %w", err)
	}
	list, err := c.typed.CoreV1().Pods(d.Namespace).List(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	for i := range sets.Items {
		set := &sets.Items[i]
		if !metav1.IsControlledBy(set, d) || set.Annotations[revisionAnnotation] != d.Annotations[revisionAnnotation] {
			continue
		}
		for j := range list.Items {
			if metav1.IsControlledBy(&list.Items[j], set) {
				pods = append(pods, &list.Items[j])
			}
		}
	}
	return pods, nil
}
