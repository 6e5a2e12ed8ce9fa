package reconciler

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// state is what the reconciler remembers of one release; all of it can be had again from the ModelRelease.
type state struct {
	key  registry.Key
	work sync.Mutex // held while the release is worked on; guards the fields below

	release *v1alpha1.ModelRelease // nil before the first claim
	left    *v1alpha1.ModelRelease // one that a person deleted, until another takes up what it left
	listed  bool                   // the watch has shown release
	moved   []elsewhere            // the same release in other places: deleted once this one is healthy
	applied time.Time              // when its objects were applied; zero when another process did
	ready   time.Time              // since when it is ready; zero when it is not
	unready time.Time              // since when it is not, though it was healthy
	dipped  time.Time              // since when a canary that has traffic is not
	tested  bool                   // the smoke test passed since it is ready
	unsure  bool                   // a status write failed: what the cluster holds is to be read again
	looked  gitops.Hash            // the tip up to which history was read for the end of a hold
	retry   bool                   // a person wants it applied again, whatever is recorded
	fight   fight
	stopped gitops.Hash // the tip at which a person was needed: what happens to its objects does not try again
	noted   mark        // the newest outcome that was handed on
	passing string      // the input key that was found to give the same objects
	judged  judged      // what its rollout's checks came to last
	waiting time.Time   // when it was written last what they wait for
	pin     pin
	told    bool                 // people were told that it waits
	heard   string               // what of the status' message a container wrote
	recent  map[string]time.Time // the Events of late while it is under way
	way     *way                 // it is on; nil when it has none to go
	failed  trace.SpanContext    // of the way that failed last

	// Read without work:
	stands    atomicString // the phase told last
	trouble   atomicString // why the last try came to nothing
	build     atomic.Pointer[building]
	back      atomic.Pointer[back]   // why policy keeps it back; nil when it does not
	steady    atomic.Int64           // since when it has been healthy at shown.healthy, in Unix seconds; 0 when it is not
	gpus      atomic.Int32           // how many count as its own
	served    atomic.Bool            // it was healthy once
	still     atomic.Bool            // held, pinned or suspended: no commit of others moves it
	held      atomic.Bool            // a revision of it is held back, or another one pinned
	recorded  atomic.Pointer[string] // the input key that is settled; nil when it is not
	past      atomic.Pointer[past]
	shown     atomic.Pointer[shown] // nil when there is no ModelRelease
	seen      atomic.Pointer[seenAt]
	place     atomicString // the namespace
	inCluster atomic.Bool
	claimed   atomicString // claimedFor
	parting   atomic.Int32 // a parting: how far it has come where the registry has it no more
	stray     atomic.Bool  // claimed for a commit of a history that was given up
}

// past is what a release's outcomes tell of when it was healthy.
type past struct {
	inputs []string // input keys
	last   time.Time
}

// building is a model image being made for a target.
type building struct {
	key     string                 // inputKey
	fixed   bool                   // no commit asks for it, and so none supersedes it
	release *v1alpha1.ModelRelease // as it was when that began; not to be changed
	cancel  context.CancelFunc
}

// target is the revision a release is to be at.
type target struct {
	commit   gitops.Hash
	snapshot tree
	release  *registry.Release
	key      string                 // inputKey
	rollback bool                   // it is the last healthy revision, and another one is held
	stay     bool                   // it is held and nothing is applied in its place
	unheld   *v1alpha1.HeldRevision // what this target ends the hold of
	shown    bool                   // it is claimed to be shown, and nothing of it applied
	urgent   *v1alpha1.Urgent       // by whom it goes through a freeze
	kept     bool                   // nothing new can be had, and this is what is applied
	pin      *v1alpha1.Pin          // it is what a person pinned
	seen     time.Time
	image    string
	hash     string // objectsHash
	rollout  string // see render.Output
	uploaded int64
}

func (t *target) revision() v1alpha1.Revision {
	return v1alpha1.Revision{
		Commit: t.commit.String(), Version: t.release.ModelVersion.Name, Image: t.image,
		ObjectsHash: t.hash, InputKey: t.key, Rollout: t.rollout, Time: metav1.Now(),
		GPUs: int32(t.release.GPUs()), Urgent: t.urgent,
	}
}

// is takes over what was found out when the target was applied.
func (t *target) is(applied v1alpha1.Revision) {
	t.image, t.hash, t.rollout = applied.Image, applied.ObjectsHash, applied.Rollout
}

// renew is an applied revision under the commit that asks for the same objects now.
func (t *target) renew(applied v1alpha1.Revision) v1alpha1.Revision {
	applied.Commit, applied.InputKey, applied.Version, applied.Time = t.commit.String(), t.key, t.release.ModelVersion.Name, metav1.Now()
	applied.Urgent = nil
	return applied
}

// recall takes over what the cluster says at the start.
func (s *state) recall(mr *v1alpha1.ModelRelease) {
	s.inCluster.Store(true)
	if s.release != nil && s.release.Namespace != mr.Namespace { // the same release in two namespaces: a move was under way
		if mr.Spec.Claim.Time.After(s.release.Spec.Claim.Time.Time) {
			s.release, mr = mr, s.release
			s.place.Store(s.release.Namespace)
		}
		s.moved = append(s.moved, elsewhere{ModelRelease: mr})
		s.recorded.Store(nil)
		return
	}
	s.release = mr
	s.noted, s.told = newest(mr.Status.Outcomes), mr.Status.Phase == v1alpha1.Waiting
	s.show()
	s.place.Store(mr.Namespace)
	s.claimed.Store(claimedFor(mr))
	s.mark()
	s.gpus.Store(mr.Status.Applied.GPUs)
	s.served.Store(mr.Status.Healthy.Commit != "")
	s.remember()
	if len(s.moved) == 0 && !mr.Pending() && mr.Status.Phase == v1alpha1.Healthy && !s.held.Load() {
		key := mr.Status.Applied.InputKey
		s.recorded.Store(&key)
	}
}

// mark tells those who do not hold the release what keeps it from following.
func (s *state) mark() {
	held := s.release.Status.Held != nil || s.release.Spec.Pin != nil
	s.held.Store(held)
	s.still.Store(held || s.release.Spec.Suspend != nil)
}

// at says that the release is settled with these very inputs.
func (s *state) at(input string) bool {
	recorded := s.recorded.Load()
	return recorded != nil && *recorded == input
}

// settledAt is the commit a release was healthy at with these very inputs.
func (s *state) settledAt(input string) (commit gitops.Hash, ok bool) {
	s.work.Lock()
	defer s.work.Unlock()
	if !s.at(input) || s.release == nil {
		return gitops.Hash{}, false
	}
	return gitops.ParseHash(s.release.Status.Applied.Commit), true
}

// adopt takes the ModelRelease a claim returned.
func (s *state) adopt(claimed *v1alpha1.ModelRelease) {
	if s.release != nil && s.release.Namespace != claimed.Namespace {
		s.moved = append(s.moved, elsewhere{ModelRelease: s.release})
	}
	// A move that was taken back: the release is at home again, and not to be deleted there.
	s.moved = slices.DeleteFunc(s.moved, func(old elsewhere) bool { return old.former == nil && old.Namespace == claimed.Namespace })
	s.release = claimed
	s.parting.Store(int32(notParted))
	s.claimed.Store(claimedFor(claimed))
	s.stray.Store(false)
	s.place.Store(claimed.Namespace)
	s.inCluster.Store(true)
	s.recorded.Store(nil)
}

// overtaken is the revision that was claimed last, where nothing came of it yet and t is another one; none otherwise.
func (s *state) overtaken(t *target) (of v1alpha1.Revision) {
	st, claim := &s.release.Status, s.release.Spec.Claim
	switch under := st.Phase == v1alpha1.Progressing || st.Phase == v1alpha1.Waiting; {
	case s.release.Pending() && claim.Commit != st.Applied.Commit && claim.Commit != st.Healthy.Commit:
		of = v1alpha1.Revision{Commit: claim.Commit, Version: claim.Version, Time: claim.Time}
	case under && st.Applied.Commit != st.Healthy.Commit:
		of = st.Applied
	}
	told := slices.ContainsFunc(st.Outcomes, func(o v1alpha1.Outcome) bool { return o.Outcome == v1alpha1.Superseded && o.Commit == of.Commit })
	if told || of.Commit == t.commit.String() {
		return v1alpha1.Revision{}
	}
	return of
}

// inSync says that the target's very inputs are applied where they belong.
func (s *state) inSync(t *target) bool {
	return s.here(t) && !s.retry && (s.release.Status.Applied.InputKey == t.key || s.passing == t.key)
}

// sameObjects says that other inputs gave the objects that are applied: nothing is sent.
func (s *state) sameObjects(t *target) bool {
	if !s.here(t) || s.retry || s.release.Status.Applied.ObjectsHash != t.hash {
		return false
	}
	s.passing = t.key
	return true
}

// here says that something is applied, wholly and in the right place.
func (s *state) here(t *target) bool {
	return s.release != nil && s.release.Namespace == t.release.Environment.Spec.Namespace && s.release.Status.Applied.Commit != "" && !s.release.Pending()
}

// progress takes over what an apply did and arms the rollback. After an error that passes the claim goes on
// pending, and the objects are applied again; one that was refused before anything was sent changed nothing.
func (s *state) progress(t *target, changes cluster.ChangeSet, err error) {
	st := &s.release.Status
	var refused *cluster.RefusedError
	if err == nil || errors.As(err, &refused) {
		st.Token = s.release.Spec.Claim.Token
	}
	if err != nil && len(changes.Changes) == 0 {
		return // what is applied did not become stale by it
	}
	st.Inventory = changes.Inventory
	if !t.rollback {
		st.Held = nil
	}
	st.Applied, st.Model = t.revision(), t.release.Model.Name
	s.phase(v1alpha1.Progressing, "Applied", "")
	s.steady.Store(0)
	s.retry, s.applied, s.ready, s.tested, s.passing = false, time.Now(), time.Time{}, false, ""
}

// remember keeps what the outcomes tell where it is read while the release is worked on.
func (s *state) remember() {
	var p past
	for _, o := range s.release.Status.Outcomes {
		if o.InputKey != "" {
			p.inputs = append(p.inputs, o.InputKey)
		}
		if o.Outcome == v1alpha1.Healthy && o.At.After(p.last) {
			p.last = o.At.Time
		}
	}
	s.past.Store(&p)
}

// wasHealthyAt says that the release was healthy with these very inputs, as far back as its outcomes tell.
func (s *state) wasHealthyAt(input string) bool {
	p := s.past.Load()
	return p != nil && slices.Contains(p.inputs, input)
}

// maxMessage is how long a message may be; the API server refuses conditions with more than 32 KiB.
const maxMessage = 4 << 10

// phase sets the phase with its reason and the conditions that say the same to kstatus and kubectl wait.
func (s *state) phase(phase v1alpha1.Phase, reason, message string) {
	st := &s.release.Status
	if reason == "" { // a condition has one
		reason = string(phase)
	}
	if message = strings.ToValidUTF8(message, "�"); len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	st.Phase, st.Reason, st.Message = phase, reason, message
	if s.way != nil {
		s.way.said = time.Now()
	}
	if s.release.Spec.Pin == nil {
		st.Pinned = ""
	}
	st.ObservedGeneration = s.release.Generation
	condition := func(typ string, on bool) {
		status := metav1.ConditionFalse
		if on {
			status = metav1.ConditionTrue
		}
		setCondition(&st.Conditions, metav1.Condition{Type: typ, Status: status, Reason: reason, Message: message, ObservedGeneration: s.release.Generation})
	}
	serves := phase == v1alpha1.Waiting && byPolicy(reason) && s.isReady() // as before
	condition(v1alpha1.ConditionReady, serves || phase == v1alpha1.Healthy || phase == v1alpha1.RolledBack || phase == v1alpha1.Held)
	condition(v1alpha1.ConditionReconciling, phase == v1alpha1.Progressing || phase == v1alpha1.Waiting)
	condition(v1alpha1.ConditionStalled, phase == v1alpha1.Failed)
	s.showSuspended()
}

// atomicString is a string that is read while it may be written.
type atomicString struct{ v atomic.Pointer[string] }

func (a *atomicString) Store(s string) { a.v.Store(&s) }

func (a *atomicString) Load() string {
	if p := a.v.Load(); p != nil {
		return *p
	}
	return ""
}
