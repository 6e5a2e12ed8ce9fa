package reconciler

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// errand is something to be told to Git or its forge. It says what to look at, not what to say: that is found out when
// its turn comes, so that it can be repeated, and skipped when nothing is left of it.
type errand struct {
	what   task
	key    registry.Key // of a release; of an environment where the name is empty
	commit gitops.Hash
}

type task string

const (
	opening   task = "opening"   // what an earlier process left: of the site of an environment
	proposal  task = "proposal"  // the revert of what a release, or an environment's rollout, failed with
	verdict   task = "verdict"   // the status of a commit, and the comment on its pull request
	promotion task = "promotion" // the next version of a release that has a rule
)

// errands are done one after the other, after whatever matters more, and again after an error.
type errands struct {
	queue workqueue.TypedRateLimitingInterface[errand]

	mu      sync.Mutex
	due     map[errand]bool  // what the queue has: it forgets what waits when it ends
	offers  map[string]offer // by branch
	open    map[registry.Key]*promoting
	pending map[errand]pending // verdicts that the forge was told to be so
}

// pending is a verdict that is not there yet.
type pending struct {
	told  time.Time
	quiet bool // nothing was left to come when the next commit came, and nothing had changed
	text  string
}

// offer is a proposal that is open, as far as is known.
type offer struct {
	held  string // the commit it takes something back of; "" while that is not known
	where string // where people find it; "" while that is not known
	undo  errand // the errand for it, where it takes back the whole commit
	// foreign says that it had somebody else's commits when this process began.
	foreign bool
}

func newErrands() *errands {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[errand](time.Second, 10*time.Minute)
	return &errands{
		queue: workqueue.NewTypedRateLimitingQueue(limiter),
		due:   map[errand]bool{}, offers: map[string]offer{}, pending: map[errand]pending{}, open: map[registry.Key]*promoting{},
	}
}

// company is how long an errand waits for others of its kind: a commit may move a thousand releases.
const company = time.Second

// errBusy says that a release is being worked on, which a build may take hours for.
var errBusy = errors.New("the release is being worked on")

// add has an errand done after a while.
func (e *errands) add(what errand, after time.Duration) {
	e.mu.Lock()
	e.due[what] = true
	e.mu.Unlock()
	e.queue.AddAfter(what, after)
}

// later has an errand looked at at some time, and not before the process ends.
func (e *errands) later(what errand, after time.Duration) { e.queue.AddAfter(what, after) }

// take says that an errand's turn has come: when it is added again, it is done again.
func (e *errands) take(what errand) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.due, what)
}

// untold is an errand that is due and not among those done.
func (e *errands) untold(done map[errand]bool) (errand, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for what := range e.due {
		if !done[what] {
			return what, true
		}
	}
	return errand{}, false
}

// offered remembers an open proposal; withdrawn that it is not open any more.
func (e *errands) offered(branch string, o offer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offers[branch] = o
}

func (e *errands) withdrawn(branch string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.offers, branch)
}

func (e *errands) offer(branch string) (o offer, open bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, open = e.offers[branch]
	return o, open
}

func (e *errands) has(branch string) bool {
	_, open := e.offer(branch)
	return open
}

// undone lists the errands for the whole commits of an environment that it is proposed to take back.
func (e *errands) undone(environment string) (all []errand) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range e.offers {
		if o.undo.what != "" && o.undo.key.Environment == environment {
			all = append(all, o.undo)
		}
	}
	return all
}

// isPending says how a verdict is pending; setPending remembers it, and with a zero value that it is not.
func (e *errands) isPending(what errand) (p pending, is bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, is = e.pending[what]
	return p, is
}

func (e *errands) setPending(what errand, p pending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if delete(e.pending, what); p != (pending{}) {
		e.pending[what] = p
	}
}

// waiting lists the verdicts that are pending.
func (e *errands) waiting() []errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.pending))
}

// came takes an outcome up: its commit has a verdict, and a proposal may be wanted, or not any more.
func (r *Reconciler) came(key registry.Key, o v1alpha1.Outcome) {
	r.begun(key.Environment, gitops.ParseHash(o.Commit))
	r.cfg.Metrics.Outcome(key.Environment, string(o.Outcome))
	if r.cfg.Committer == nil {
		return
	}
	if o.Outcome == v1alpha1.Failed {
		r.errands.add(errand{what: proposal, key: key}, 0)
		return
	}
	r.settledProposals(key)
}

// settledProposals has the proposals looked at that a release may not need any more.
func (r *Reconciler) settledProposals(key registry.Key) {
	if r.errands.has(RevertBranch(key)) {
		r.errands.add(errand{what: proposal, key: key}, 0)
	}
	for _, undo := range r.errands.undone(key.Environment) {
		r.errands.add(undo, company)
	}
}

// begun has the forge told how an environment stands with a commit.
func (r *Reconciler) begun(environment string, commit gitops.Hash) {
	if r.cfg.Forge != nil {
		r.errands.add(errand{verdict, registry.Key{Environment: environment}, commit}, company)
	}
}

// runErrands does errands until ctx ends.
func (r *Reconciler) runErrands(ctx context.Context) {
	stop := context.AfterFunc(ctx, r.errands.queue.ShutDown)
	defer stop()
	for _, s := range r.sites {
		e := errand{what: opening}
		if len(s.environments) > 0 {
			e.key.Environment = s.environments[0]
		}
		r.errands.add(e, 0)
	}
	for {
		e, down := r.errands.queue.Get()
		if down {
			return
		}
		r.errand(ctx, e)
		r.errands.queue.Done(e)
	}
}

// lastErrands is how long the end of the process waits for what is still to be told.
const lastErrands = 10 * time.Second

// finishErrands does once what is left when the process ends: the next one finds the outcomes, but who waits for a verdict
// would wait for that one.
func (r *Reconciler) finishErrands(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastErrands)
	defer cancel()
	done := map[errand]bool{}
	for ctx.Err() == nil {
		e, ok := r.errands.untold(done)
		if !ok {
			return
		}
		done[e] = true
		r.errand(ctx, e)
	}
}

func (r *Reconciler) errand(ctx context.Context, e errand) {
	r.errands.take(e)
	site := r.site(e.key.Environment)
	if site == nil || e.what != opening && !r.mine(e.key.Environment) {
		return // another controller's
	}
	if r.desired.Load() == nil || !site.known.Load() || e.what != opening && r.wanted(e.key.Environment) == nil {
		r.errands.add(e, company) // nobody knows yet what is held
		return
	}
	var err error
	switch e.what {
	case opening:
		err = r.openErrands(ctx, site)
	case proposal:
		err = r.propose(ctx, e)
	case verdict:
		err = r.judge(ctx, e)
	case promotion:
		err = r.promote(ctx, e)
	}
	refused, isForge := errors.AsType[*forge.Error](err)
	switch {
	case err == nil:
		r.errands.queue.Forget(e)
	case errors.Is(err, errBusy), ctx.Err() != nil:
		r.errands.add(e, company)
	case isForge && refused.RetryAfter > 0:
		r.cfg.Log.Warn("not told to the forge; it is tried again", "what", string(e.what), "about", e.key.String(), "error", err)
		r.errands.add(e, refused.RetryAfter)
	default:
		r.cfg.Log.Warn("not told to Git; it is tried again", "what", string(e.what), "about", e.key.String(), "error", err)
		r.errands.again(e)
	}
}

// again has an errand done again after an error, later each time.
func (e *errands) again(what errand) {
	e.mu.Lock()
	e.due[what] = true
	e.mu.Unlock()
	e.queue.AddRateLimited(what)
}
