package reconciler

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/made"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// train is one look at a run: the ledger says how far it came, and each step from there can be repeated, by this process
// or the next, without anything happening twice. It returns when to look again if nothing is heard before; zero for never.
func (r *Reconciler) train(ctx context.Context, key runKey) (time.Duration, error) {
	want, t := r.asks(key)
	if want == nil {
		return time.Second, nil // what is to be is not known yet
	}
	if why := r.trainsNothing(key.environment); why != "" {
		if t != nil {
			r.untrained(key, t, why)
		}
		return 0, nil
	}
	if r.site(key.environment).watcher.Load() == nil {
		return time.Second, nil // the cluster was not reached yet
	}
	if _, err := r.readRuns(ctx); err != nil {
		return 0, err
	}
	run, there, err := r.runs.find(ctx, key)
	switch {
	case err != nil:
		return 0, err
	case !there && t == nil:
		return 0, nil
	case !there:
		var again time.Duration
		if run, again, err = r.claimTrial(ctx, key, want, t); err != nil || run.State == "" {
			return again, err
		}
	}
	if run.Environment != key.environment { // also where another claimed it at the same moment
		if t != nil && run.State != gitops.RunCanceled {
			r.untrained(key, t, fmt.Sprintf("this very spec was trained in %s, as %s; davit train again trains it once more", run.Environment, run.Name))
		}
		return 0, nil
	}
	if done(run) {
		again, err := r.mergeVersion(ctx, key, run)
		return again, errors.Join(err, r.doneTrial(ctx, key, run, t))
	}
	x := &running{Run: run, key: key, asked: t != nil}
	if x.spec, err = r.reopen(ctx, x); err != nil {
		return 0, err
	}
	again, err := r.advanceRun(ctx, x)
	if x.State.Ended() {
		r.endedRun(key)
	}
	if err != nil || !done(x.Run) {
		return again, err
	}
	return r.mergeVersion(ctx, key, x.Run)
}

// done says that nothing is left to be done for a run itself; what it made may be to be merged. The objects of a canceled one may not be gone yet.
func done(run gitops.Run) bool {
	return run.State.Ended() && run.State != gitops.RunCanceled && (run.State != gitops.RunSucceeded || run.Version != "")
}

// running is a run in the ledger, and what it is made of, whatever the branch is by now.
type running struct {
	gitops.Run
	spec
	key   runKey
	asked bool        // the followed commit asks for it
	sweep *made.Sweep // whose best it is; nil for a run that is no trial
}

// namespace is where its objects are.
func (x *running) namespace() string { return x.training.Environment.Spec.Namespace }

// claimRun puts a new run into the ledger, which one controller alone succeeds with. The run has no state where it must not
// start.
func (r *Reconciler) claimRun(ctx context.Context, key runKey, want *desired, t *registry.Training) (run gitops.Run, err error) {
	if why := r.mayNotTrain(t); why != "" {
		r.untrained(key, t, why)
		return run, nil
	}
	site := r.site(key.environment)
	uid, err := site.cluster.UID(ctx)
	if err != nil {
		return run, err
	}
	// Nobody counts what another is about to claim, and nobody claims by an older count.
	r.trainings.counting.Lock()
	defer r.trainings.counting.Unlock()
	claimed, err := r.runs.Runs(ctx)
	if err != nil {
		return run, err
	}
	if why, err := r.takeForRun(ctx, key, want, t, claimed); err != nil || why != "" {
		if why != "" {
			r.untrained(key, t, why)
		}
		return run, err
	}
	run, mine, err := r.runs.ClaimRun(ctx, gitops.Run{
		Hash: key.hash, Name: t.RunName(key.hash), Training: t.Key(), Trial: t.Values(), Environment: key.environment, Commit: want.snapshot.Hash().String(),
		Cluster: uid, Controller: r.cfg.Name, State: gitops.RunClaimed, GPUs: t.GPUs(), Claimed: time.Now().UTC().Truncate(time.Second),
	})
	if errors.As(err, new(*cluster.ErrOtherOwner)) {
		r.endedRun(key)
		r.untrained(key, t, err.Error())
		return gitops.Run{}, nil
	}
	if err == nil && run.Environment != key.environment {
		r.endedRun(key)
	}
	if err == nil && mine {
		r.ran(run)
		r.cfg.Log.Info("a run is claimed", "training", t.Key(), "run", run.Name, "environment", run.Environment, "commit", run.Commit)
	}
	return run, err
}

// trainsNothing says why this controller looks after no run of an environment; "" when it does.
func (r *Reconciler) trainsNothing(environment string) string {
	if r.site(environment) == nil {
		return "no place is granted to environment " + environment
	}
	return ""
}

// mayNotTrain says why no run of a training may start; "" when one may.
func (r *Reconciler) mayNotTrain(t *registry.Training) string {
	if err := r.permitted(t.Environment, t.BaseVersion, t.BaseRepository()); err != nil {
		return err.Error()
	}
	if !t.Environment.Publishes() {
		return fmt.Sprintf("nobody would keep what it makes; write publisher: {image: …@sha256:…}, davit's own image, in %s", t.Environment.Path)
	}
	return ""
}

// reopen reads what the run was claimed for.
func (r *Reconciler) reopen(ctx context.Context, x *running) (spec, error) {
	if s, known := r.specOf(x.key); known {
		return s, nil
	}
	s, err := r.claimedSpec(ctx, x)
	if err != nil {
		return s, err
	}
	if s.training == nil {
		if s, err = r.remains(x); err != nil {
			return s, err
		}
		r.cfg.Log.Warn("the commit that asked for a run is gone, or has it no more", "run", x.Name, "commit", x.Commit)
	}
	r.keepSpec(x.key, s)
	return s, nil
}

// claimedSpec has no training where the commit has another spec, or is not in the history that the environment follows:
// whoever may write to the ledger has nothing run that was not merged, and signed where that is asked for.
func (r *Reconciler) claimedSpec(ctx context.Context, x *running) (s spec, err error) {
	want, commit := r.wanted(x.Environment), gitops.ParseHash(x.Commit)
	s.snapshot = want.snapshot
	models := want.models
	if s.snapshot.Hash() != commit {
		if !r.cfg.Source.Has(commit) {
			return spec{}, nil
		}
		if merged, err := r.cfg.Source.IsAncestor(ctx, commit, s.snapshot.Hash()); err != nil || !merged {
			return spec{}, err
		}
		if s.snapshot, err = r.cfg.Source.Snapshot(ctx, commit); err != nil {
			return s, fmt.Errorf("reading commit %.12s, which %s was claimed for: %w", x.Commit, x.Name, err)
		}
		models = nil
	}
	trials, err := r.trialsAt(s.snapshot, models, x.Training)
	if err != nil {
		return s, fmt.Errorf("reading the registry at %.12s, which %s was claimed for: %w", x.Commit, x.Name, err)
	}
	for _, t := range trials {
		if t.hash == x.Hash {
			s.training = t.training
		}
	}
	return s, nil
}

// remains is what is known of a run whose commit is gone: enough to look for it, and to propose what it made.
func (r *Reconciler) remains(x *running) (s spec, err error) {
	want := r.wanted(x.Environment)
	model, name, _ := strings.Cut(x.Training, "/")
	environment := want.models.Environments[x.Environment]
	if environment == nil {
		return s, fmt.Errorf("run %s is in environment %s, whose environment.yaml is missing or faulty", x.Name, x.Environment)
	}
	s.training = &registry.Training{Model: model, Name: name, Environment: environment, Images: want.models.Spec.Images}
	if m := want.models.Models[model]; m != nil {
		s.training.Team = m.Team
		s.training.Path = path.Join(path.Dir(m.Path), "training", name+".yaml")
	}
	return s, nil
}

// advanceRun takes a run from where it stands.
func (r *Reconciler) advanceRun(ctx context.Context, x *running) (time.Duration, error) {
	site := r.site(x.Environment)
	r.named(x.key, x.namespace(), x.Name)
	switch {
	case x.State == gitops.RunSucceeded:
		return 0, r.settleRun(ctx, x)
	case x.State == gitops.RunCanceled:
		if err := site.cluster.DeleteRun(ctx, x.namespace(), x.Name); err != nil {
			return 0, err
		}
		return 0, r.settleRun(ctx, x)
	case !x.asked && x.training.Spec.OnRemove == "cancel" && !r.relocked(x):
		return 0, r.cancelRun(ctx, x)
	}
	uid, err := site.cluster.UID(ctx)
	if err != nil {
		return 0, err
	}
	if x.Cluster != uid {
		return r.runElsewhere(ctx, x)
	}
	st, err := site.cluster.Run(ctx, x.namespace(), x.Name)
	if err != nil {
		return 0, err
	}
	return r.seenRun(ctx, x, st)
}

// runElsewhere waits for a run of another cluster, which may be that cluster's controller's to look after, or be gone with
// it: for as long as it may take, and as long again to be told.
func (r *Reconciler) runElsewhere(ctx context.Context, x *running) (time.Duration, error) {
	may := x.training.Spec.Deadline.Or(registry.DefaultDeadline) * time.Duration(1+x.training.Spec.Retries)
	_, published, err := r.result(ctx, x)
	_, unsound := errors.AsType[*image.ContentError](err)
	if err != nil && !unsound {
		return 0, err
	}
	if !published && !unsound && time.Since(x.Claimed) < 2*may {
		return lookAtOther, nil
	}
	return r.lostRun(ctx, x, "it ran in another cluster, and left no image")
}

// seenRun goes on from what the cluster has of a run; st is nil when it has nothing.
func (r *Reconciler) seenRun(ctx context.Context, x *running, st *cluster.RunStatus) (time.Duration, error) {
	switch {
	case x.State == gitops.RunClaimed && st != nil: // made by a process that was killed then: nobody tells of an end that was before
		if again, err := r.startedRun(ctx, x); err != nil {
			return again, err
		}
		return r.seenRun(ctx, x, st)
	case x.State == gitops.RunClaimed && x.snapshot == nil:
		return r.lostRun(ctx, x, "it was claimed for a commit that is gone, and its objects are not there")
	// Its objects can't have come and gone already, or their end would have outlived them for this long.
	case x.State == gitops.RunClaimed && time.Since(x.Claimed) > x.training.Spec.TTL.Or(registry.DefaultTTL)/2:
		return r.lostRun(ctx, x, "it was claimed and its objects are not there, and whether they were nobody knows")
	case x.State == gitops.RunClaimed:
		if err := r.startRun(ctx, x); err != nil || x.State.Ended() {
			return 0, err
		}
		return r.startedRun(ctx, x)
	case st == nil:
		return r.lostRun(ctx, x, "its objects are gone, and it left no image")
	case st.Phase == cluster.RunSucceeded:
		return r.lostRun(ctx, x, "its pods succeeded, but left no image")
	case st.Phase == cluster.RunFailed:
		x.Reason, x.Message = st.Reason, line(st.Message)
		return r.endRun(ctx, x, gitops.RunFailed)
	case st.Admitted.IsZero():
		return lookAtRun, nil
	}
	return r.overdue(ctx, x, st)
}

// overdue ends a JobSet at its deadline, which each of its attempts has for itself. Its objects go first: a failed one that
// the ledger calls over would be followed by another attempt. What is trained and being published is left to its attempt's.
func (r *Reconciler) overdue(ctx context.Context, x *running, st *cluster.RunStatus) (time.Duration, error) {
	deadline := x.training.Spec.Deadline.Or(registry.DefaultDeadline)
	if left := time.Until(st.Admitted.Add(deadline)); left > 0 {
		return min(left, lookAtRun), nil
	}
	if st.Phase == cluster.RunPublishing {
		return lookAtRun, nil
	}
	if err := r.site(x.Environment).cluster.DeleteRun(ctx, x.namespace(), x.Name); err != nil {
		return 0, err
	}
	x.Reason, x.Message = "DeadlineExceeded", fmt.Sprintf("it was not done %s after it began", deadline)
	return r.endRun(ctx, x, gitops.RunFailed)
}

// startedRun records that the run's objects are there.
func (r *Reconciler) startedRun(ctx context.Context, x *running) (time.Duration, error) {
	x.Started = time.Now().UTC().Truncate(time.Second)
	if err := r.recordRun(ctx, x, gitops.RunStarted, gitops.RunClaimed); err != nil {
		return 0, err
	}
	r.cfg.Log.Info("a run started", "training", x.Training, "run", x.Name, "environment", x.Environment)
	return lookAtRun, nil
}

// startRun creates the run's objects.
func (r *Reconciler) startRun(ctx context.Context, x *running) error {
	t := x.training
	base := ""
	if t.BaseVersion != nil {
		result, err := r.cfg.Images.Ensure(ctx, x.snapshot, t.BaseRepository(), t.BaseVersion, r.access(x.Environment))
		if err != nil {
			return r.refuseRun(ctx, x, err)
		}
		policies, err := r.policies(x.Environment)
		if err == nil {
			err = r.cfg.Images.Verify(ctx, result.Ref, t.BaseVersion, policies...)
		}
		if err != nil {
			return err
		}
		base = result.Ref
	}
	out, err := render.Training(x.snapshot, t.WithPullSecrets(r.cfg.Grants[x.Environment].PullSecrets), x.Hash, base)
	if err != nil {
		return r.refuseRun(ctx, x, &image.ContentError{Err: err})
	}
	site := r.site(x.Environment)
	if err := site.cluster.EnsureNamespace(ctx, x.namespace()); err != nil {
		return fmt.Errorf("namespace of %s: %w", x.Name, err)
	}
	if err := r.pullable(ctx, x.Environment, x.namespace()); err != nil {
		return err
	}
	return r.refuseRun(ctx, x, site.cluster.ApplyRun(ctx, out.Objects))
}

// refuseRun ends a run that can't start because of what it is; err passes otherwise.
func (r *Reconciler) refuseRun(ctx context.Context, x *running, err error) error {
	var content *image.ContentError
	var refused *cluster.RefusedError
	if !errors.As(err, &content) && !errors.As(err, &refused) {
		return err
	}
	x.Reason, x.Message = "Refused", line(err.Error())
	_, err = r.endRun(ctx, x, gitops.RunFailed)
	return err
}

// lostRun ends a run of which nothing is left: by the result that it published, if it did.
func (r *Reconciler) lostRun(ctx context.Context, x *running, why string) (time.Duration, error) {
	x.Reason, x.Message = "Lost", why
	return r.endRun(ctx, x, gitops.RunLost)
}

// endRun records a run's end. What it published counts, whatever became of its pods after that.
func (r *Reconciler) endRun(ctx context.Context, x *running, as gitops.RunState) (time.Duration, error) {
	result, found, err := r.result(ctx, x)
	var unsound *image.ContentError
	switch x.Ended = time.Now().UTC().Truncate(time.Second); {
	case errors.As(err, &unsound):
		as, x.Reason, x.Message = gitops.RunFailed, "NoModel", line(err.Error())
	case err != nil:
		return 0, err // an OCI registry that can't be asked may hold what took weeks to train
	case found:
		as, x.Reason, x.Message = gitops.RunSucceeded, "", ""
		x.Image, x.Metrics = x.training.Repository()+"@"+result.Digest, result.Version.Metrics
		x.Ended = result.Ended
	}
	if err := r.recordRun(ctx, x, as, gitops.RunClaimed, gitops.RunStarted); err != nil {
		return 0, err
	}
	r.cfg.Log.Info("a run ended", "training", x.Training, "run", x.Name, "environment", x.Environment, "state", string(x.State), "why", x.Message)
	r.notifyRun(ctx, x)
	return 0, r.settleRun(ctx, x)
}

// cancelRun ends a run whose spec was removed and wants that.
func (r *Reconciler) cancelRun(ctx context.Context, x *running) error {
	x.Reason, x.Message = "SpecRemoved", fmt.Sprintf("no commit asks for it any more, and its spec says onRemove: %s", x.training.Spec.OnRemove)
	if _, err := r.endRun(ctx, x, gitops.RunCanceled); err != nil {
		return err
	}
	return r.site(x.Environment).cluster.DeleteRun(ctx, x.namespace(), x.Name)
}

// recordRun writes how far a run came. Where another process was before, its word counts, and the run is looked at anew.
func (r *Reconciler) recordRun(ctx context.Context, x *running, state gitops.RunState, from ...gitops.RunState) error {
	run := x.Run
	run.State = state
	now, err := r.runs.RecordRun(ctx, run, from...)
	if errors.Is(err, gitops.ErrRunState) {
		return fmt.Errorf("%s is %s by now: %w", x.Name, now.State, err)
	}
	if err != nil {
		return err
	}
	if x.State != now.State {
		r.ran(now)
	}
	x.Run = now
	return nil
}

// result reads what a run published.
func (r *Reconciler) result(ctx context.Context, x *running) (image.RunResult, bool, error) {
	return r.cfg.Images.RunResult(ctx, x.training.Repository(), x.Hash)
}
