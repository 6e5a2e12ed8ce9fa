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

// Event records one on mr, of type "Normal" or "Warning". An Event that can't be written is logged and lost:
// the status says the same.
func (c *Cluster) Event(ctx context.Context, mr *v1alpha1.ModelRelease, typ, reason, message string) {
	if len(message) > maxNote {
		message = strings.ToValidUTF8(message[:maxNote-3], "") + "…"
	}
	now := time.Now()
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: mr.Name + "-", Namespace: mr.Namespace},
		EventTime:  metav1.NewMicroTime(now), ReportingController: "davit.dev/controller", ReportingInstance: Manager,
		Action: "Reconcile", Type: typ, Reason: reason, Note: message,
		Regarding: corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind,
			Namespace: mr.Namespace, Name: mr.Name, UID: mr.UID, ResourceVersion: mr.ResourceVersion,
		},
	}
	err := c.write(ctx, func() error {
		_, err := c.typed.EventsV1().Events(mr.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: Manager})
		return err
	})
	if err != nil && ctx.Err() == nil {
		c.log.Warn("event not written", "release", mr.Name, "reason", reason, "error", err)
	}
}
