package cluster

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// maxNote is the API server's limit for an Event's note, in bytes.
const maxNote = 1024

// RegistryEvent records one on a ModelRegistry, as Event does.
func (c *Cluster) RegistryEvent(ctx context.Context, mr *v1alpha1.ModelRegistry, typ, reason, message string) {
	c.event(ctx, v1alpha1.RegistryKind, &mr.ObjectMeta, typ, reason, message)
}

// Event records one on mr, of type "Normal" or "Warning". An Event that can't be written is logged and lost:
// the status says the same.
func (c *Cluster) Event(ctx context.Context, mr *v1alpha1.ModelRelease, typ, reason, message string) {
	c.event(ctx, v1alpha1.Kind, &mr.ObjectMeta, typ, reason, message)
}

func (c *Cluster) event(ctx context.Context, kind string, of *metav1.ObjectMeta, typ, reason, message string) {
	if len(message) > maxNote {
		message = strings.ToValidUTF8(message[:maxNote-3], "") + "…"
	}
	now := time.Now()
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: of.Name + "-", Namespace: of.Namespace},
		EventTime:  metav1.NewMicroTime(now), ReportingController: "davit.dev/controller", ReportingInstance: Manager,
		Action: "Reconcile", Type: typ, Reason: reason, Note: message,
		Regarding: corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: kind,
			Namespace: of.Namespace, Name: of.Name, UID: of.UID, ResourceVersion: of.ResourceVersion,
		},
	}
	err := c.write(ctx, func() error {
		_, err := c.typed.EventsV1().Events(of.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: Manager})
		return err
	})
	if err != nil && ctx.Err() == nil {
		c.log.Warn("event not written", "kind", kind, "name", of.Name, "reason", reason, "error", err)
	}
}
