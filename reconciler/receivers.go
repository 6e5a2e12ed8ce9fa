package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/notify"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func isURL(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") }

// notifies has a Config send what a ModelRegistry's notifications ask for, until stop is called.
func (cfg ControllerConfig) notifies(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, to *Config) (stop func(), err error) {
	at := forge.Config{Repository: mr.Spec.URL}
	if spec := mr.Spec.Forge; spec != nil {
		at.Kind, at.URL = spec.Kind, spec.URL
	}
	to.CommitURL = func(commit string) string { return forge.CommitURL(at, commit) }
	to.MentionURL = func(word string) string { return forge.MentionURL(at, word) }
	var receivers []notify.Receiver
	for _, n := range mr.Spec.Notifications {
		r, err := cfg.receiver(mr, n, to)
		if err != nil {
			return nil, fmt.Errorf("notification %q: %w", n.Name, err)
		}
		receivers = append(receivers, r)
	}
	notifier := notify.New(receivers, log)
	notifier.Recall(cfg.undelivered(ctx, mr))
	if len(receivers) > 0 {
		to.Notify = notifier.Add
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // what comes while the reconciler ends is sent, too
	var work sync.WaitGroup
	work.Go(func() { notifier.Run(ctx) })
	work.Go(func() { cfg.tellNotified(ctx, mr, log, notifier, len(receivers) > 0) })
	return func() {
		cancel()
		work.Wait()
	}, nil
}

// receiver is one of the spec. Its Secret is read when something is sent: it may come, and change, at any time.
func (cfg ControllerConfig) receiver(mr *v1alpha1.ModelRegistry, n v1alpha1.Notification, to *Config) (notify.Receiver, error) {
	r := notify.Receiver{Name: n.Name, Environments: n.Environments, States: n.States, Count: func(result string, messages int) {
		cfg.recorder.Notified(n.Kind, result, messages)
	}}
	read := cfg.secret(mr.Namespace)
	secret := func(ctx context.Context) (map[string]string, error) {
		s, err := read(ctx, n.Secret)
		if err == nil && s["url"] == "" {
			err = fmt.Errorf("reading Secret %s/%s: it has no key url", mr.Namespace, n.Secret)
		}
		return s, err
	}
	switch {
	case n.Kind == "Forge" && to.Forge == nil:
		return r, errors.New("kind Forge needs spec.forge")
	case n.Kind == "Forge":
		r.Send = notify.Forge(n.Name, to.Forge, to.Source)
	case n.Secret == "":
		return r, fmt.Errorf("kind %s needs a secret with the key url", n.Kind)
	case n.Kind == "Slack":
		r.Send, r.Batch = notify.Slack(secret)
	case n.Kind == "CloudEvents":
		r.Send = notify.CloudEvents(secret)
	default:
		return r, fmt.Errorf("kind %q is none of Slack, CloudEvents and Forge", n.Kind)
	}
	return r, nil
}

// lookAtReceivers is how often the ModelRegistry's status is held against whether receivers take what they are sent.
const lookAtReceivers = 2 * time.Second

// tellNotified keeps the ModelRegistry's condition Notified, until ctx ends; it is taken away where nobody is notified.
func (cfg ControllerConfig) tellNotified(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, n *notify.Notifier, any bool) {
	if !any {
		cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) {
			meta.RemoveStatusCondition(&st.Conditions, v1alpha1.ConditionNotified)
		})
		return
	}
	tick := time.NewTicker(lookAtReceivers)
	defer tick.Stop()
	told := "not told yet"
	for {
		if trouble := n.Trouble(); trouble != told {
			told = trouble
			cfg.notified(ctx, mr, log, trouble)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// undelivered is what the condition Notified told of these receivers before; "" where it was of another spec.
func (cfg ControllerConfig) undelivered(ctx context.Context, mr *v1alpha1.ModelRegistry) (trouble string) {
	_ = cfg.Cluster.WriteRegistryStatus(ctx, mr, func(live *v1alpha1.ModelRegistry) {
		c := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionNotified)
		if c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == mr.Generation {
			trouble = c.Message
		}
	})
	return trouble
}

// notified writes the condition Notified, and an Event where it changed.
func (cfg ControllerConfig) notified(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, trouble string) {
	c := metav1.Condition{Type: v1alpha1.ConditionNotified, Status: metav1.ConditionTrue, Reason: v1alpha1.ConditionNotified, ObservedGeneration: mr.Generation}
	if trouble != "" {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "NotDelivered", trouble
	}
	var was *metav1.Condition
	cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) {
		if was = meta.FindStatusCondition(st.Conditions, c.Type); was != nil {
			was = was.DeepCopy()
		}
		setCondition(&st.Conditions, c)
	})
	switch {
	case trouble != "" && (was == nil || was.Status != c.Status):
		cfg.Cluster.RegistryEvent(ctx, mr, "Warning", c.Reason, trouble)
	case trouble == "" && was != nil && was.Status != c.Status && was.ObservedGeneration == c.ObservedGeneration:
		cfg.Cluster.RegistryEvent(ctx, mr, "Normal", c.Reason, "notifications are delivered again")
	}
}
