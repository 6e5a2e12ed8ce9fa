package reconciler

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// The reasons of a ModelRegistry's conditions and Events, beside those of gitops.Cause.
const (
	followedReason    = "Followed"
	notFollowedReason = "NotFollowed"
	rewrittenReason   = "HistoryRewritten"
	notSignedReason   = "NotSigned"
	beginsReason      = "Progressing"
)

// following is how it goes in the words of kstatus: Stalled where only a person helps, Reconciling where davit tries again
// by itself.
type following struct {
	ready, reconciling, stalled metav1.ConditionStatus
	reason, message             string
}

// followingOf is how following went.
func followingOf(err error) following {
	if err == nil {
		return following{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionFalse, followedReason, ""}
	}
	f := following{metav1.ConditionFalse, metav1.ConditionFalse, metav1.ConditionTrue, "", err.Error()}
	switch {
	case errors.As(err, new(*RewrittenError)):
		f.reason = rewrittenReason
	case errors.As(err, new(*UnverifiedError)):
		f.reason = notSignedReason
	case gitops.Cause(err) != "":
		f.reason = gitops.Cause(err)
	default:
		f.reason, f.reconciling, f.stalled = notFollowedReason, metav1.ConditionTrue, metav1.ConditionFalse
	}
	return f
}

// set writes the conditions for a generation, and says whether a person should hear of it: what was so before is no news.
func (f following) set(st *v1alpha1.ModelRegistryStatus, generation int64) (news bool) {
	was := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReady)
	news = was == nil || was.Status != f.ready || was.Reason != f.reason
	for typ, status := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: f.ready, v1alpha1.ConditionReconciling: f.reconciling, v1alpha1.ConditionStalled: f.stalled,
	} {
		setCondition(&st.Conditions, metav1.Condition{Type: typ, Status: status, Reason: f.reason, Message: f.message, ObservedGeneration: generation})
	}
	if f.reason != suspendedReason && meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionSuspended) != nil {
		setCondition(&st.Conditions, metav1.Condition{Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionFalse, Reason: resumedReason, ObservedGeneration: generation})
	}
	st.ObservedGeneration = generation
	return news
}

// begins has a spec that is new answered before anything of it is done: kstatus waits from then on for what comes of it.
func (cfg ControllerConfig) begins(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger) {
	cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) {
		if st.ObservedGeneration != mr.Generation {
			following{metav1.ConditionUnknown, metav1.ConditionTrue, metav1.ConditionFalse, beginsReason, "following as the spec says now"}.set(st, mr.Generation)
		}
	})
}

// stays says that following is suspended. What was ready goes on to be: it runs on as it is.
func (cfg ControllerConfig) stays(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger) {
	const text = "suspended by spec.suspend: nothing is followed or written, and what runs stays as it is"
	news := false
	cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) {
		news = !meta.IsStatusConditionTrue(st.Conditions, v1alpha1.ConditionSuspended)
		f := following{metav1.ConditionUnknown, metav1.ConditionFalse, metav1.ConditionFalse, suspendedReason, text}
		if meta.IsStatusConditionTrue(st.Conditions, v1alpha1.ConditionReady) {
			f.ready = metav1.ConditionTrue
		}
		f.set(st, mr.Generation)
		setCondition(&st.Conditions, metav1.Condition{Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionTrue, Reason: suspendedReason, Message: text, ObservedGeneration: mr.Generation})
	})
	if news {
		cfg.Cluster.RegistryEvent(ctx, mr, "Normal", suspendedReason, text)
	}
}

// announce is the Event of how following goes now.
func (cfg ControllerConfig) announce(ctx context.Context, mr *v1alpha1.ModelRegistry, t told) {
	f := followingOf(t.err)
	if t.err != nil {
		cfg.Cluster.RegistryEvent(ctx, mr, "Warning", f.reason, f.message)
		return
	}
	text := "follows " + t.revision
	if t.author != "" {
		text += " by " + t.author
	}
	cfg.Cluster.RegistryEvent(ctx, mr, "Normal", f.reason, text)
}

// outageTold is how long a repository may be out of reach before the status says so: servers restart.
const outageTold = time.Minute

// contact tells in the status when the repository can't be read, and when it can be again. What is followed goes on
// meanwhile.
type contact struct {
	tell func(error)

	mu    sync.Mutex
	since time.Time // since when it can't be
	lost  bool      // and that was told
}

// reached is told of every look at the repository.
func (c *contact) reached(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		if c.lost {
			c.tell(nil)
		}
		c.since, c.lost = time.Time{}, false
		return
	}
	if c.since.IsZero() {
		c.since = time.Now()
	}
	if c.lost || gitops.Cause(err) == "" && time.Since(c.since) < outageTold {
		return
	}
	c.lost = true
	c.tell(err)
}

// lastTold is how following went last: what is told again when the repository can be read again.
type lastTold struct {
	mu   sync.Mutex
	last told
}

func (l *lastTold) set(t told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = t
}

// or is the last one, with err where that says more.
func (l *lastTold) or(err error) told {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.last
	t.err = cmp.Or(err, t.err)
	return t
}
