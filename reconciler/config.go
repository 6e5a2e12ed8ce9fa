package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/notify"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// Config is what a Reconciler works with. Source, Images, Owner, and Cluster or Grants are required.
type Config struct {
	Source *gitops.Source
	Images *image.Builder
	// Cluster is where every environment is, with the rights it has; for a reconciler with Grants nil.
	Cluster *cluster.Cluster
	// Grants say where each environment is and bound what the repository may ask for there; an environment
	// without one is refused.
	Grants map[string]Grant
	// Former are places that environments moved away from.
	Former []Former
	// Only names the environments this controller works on; all when empty. The others are another's: they are
	// neither applied nor deleted.
	Only []string
	// Owner names this registry and controller; a ModelRelease of another owner is not touched.
	Owner string
	// Name is what outcomes in Git call this controller.
	Name string
	// Notes keeps the outcomes in Git; they are in the ModelReleases alone, the last five of each, when nil. It may not run
	// yet: the reconciler runs it.
	Notes *gitops.Notes
	// Committer is who proposes the revert of what failed; nothing is proposed when nil.
	Committer *gitops.Author
	// Forge has pull requests for proposals, a status for each commit and environment, and comments; none when nil.
	Forge *forge.Forge
	// Connected is told of each try to reach the cluster of some environments; of none when nil. It may be called
	// concurrently.
	Connected func(environments []string, err error)
	// AcceptRewrite lets whatever commit be followed, after a forced push or a reset; Accept this one, and what comes
	// after it, and of an environment's commits that must be signed those before it be not.
	AcceptRewrite bool
	Accept        gitops.Hash
	// Accepted says that a branch was followed by Accept before: it accepts no other rewrite.
	Accepted bool
	// Last are the commits that environments followed last, as the process before knew by Reconciler.Following. Without
	// them the releases' claims tell.
	Last map[string]gitops.Hash
	// Workers is how many releases are worked on at once in each cluster; 64 when zero. Most wait: for an image to
	// be built, or for a turn among the cluster's writers.
	Workers int
	// Log receives one line per failure that is tried again; discarded when nil.
	Log *slog.Logger
	// Report receives each change of a release's phase. It may be called concurrently. When nil, each is a line of Log.
	Report func(Report)
	// Followed receives each commit that was followed, or why it could not be, or not by all environments (an
	// *UnverifiedError, or a *RewrittenError); it is called by one goroutine. May be nil.
	Followed func(commit gitops.Hash, err error)
	// Rollouts receives the shared changes under way or stopped whenever they change, one call at a time. May be nil.
	Rollouts func([]v1alpha1.Rollout)
	// Notify receives what came of releases and trainings; it returns at once. May be nil.
	Notify func(notify.Message)
	// CommitURL is where a browser finds a commit; "" where nobody knows. May be nil.
	CommitURL func(commit string) string
	// MentionURL is where a browser finds what a word of a commit's message names on the repository's forge, #12 say; "" for
	// all else. May be nil.
	MentionURL func(word string) string
	// ModelRegistry reads the ModelRegistry that is followed, nil where it is gone; there is none when it is nil.
	ModelRegistry func(context.Context) (*v1alpha1.ModelRegistry, error)
	// Metrics count what happens; nothing is counted when nil.
	Metrics *metrics.Recorder
	// Tracer has a trace for each commit, from snapshot to outcome; none when nil.
	Tracer trace.Tracer
	// Prometheus is asked for serving metrics by a reconciler with Grants nil; nobody is when nil.
	Prometheus *monitor.Prometheus
	// Monitored is told when an environment's Prometheus first answers, when it does not, and when it does again; of none
	// when nil.
	Monitored func(environment string, err error)
	// MetricsInterval is how often that is done, for all of an environment's releases at once; a minute when zero. What a
	// rollout's checks want is looked at four times as often.
	MetricsInterval time.Duration
	// Now is the present that gates, freezes and schedules go by; time.Now when nil.
	Now func() time.Time
}

// Grant is what one environment may do, whatever the repository says; environment.yaml can only narrow it.
type Grant struct {
	// Cluster is where the environment is. Its Config bounds identity and kinds.
	Cluster *cluster.Cluster
	// Namespaces are those the environment may be in; any when empty.
	Namespaces []string
	// Sources are where model files may come from besides the repository.
	Sources []v1alpha1.SourceGrant
	// Secret reads one that Sources name. Required where they do.
	Secret func(ctx context.Context, name string) (map[string]string, error)
	// Images is what a model image must have, beside what environment.yaml asks for.
	Images []image.Policy
	// PullSecrets are named by all pods as imagePullSecrets, beside those of environment.yaml; Pullable brings them into a
	// namespace before pods come there, when they are not there already. It may be called concurrently, and be nil.
	PullSecrets []string
	Pullable    func(ctx context.Context, namespace string) error
	// MaxDeletions is how many releases one commit may remove at most; no bound of its own when zero.
	MaxDeletions int
	// Signers are who must have signed the tip for the environment to follow it; anybody's commits count when nil.
	Signers *gitops.Signers
	// Every says that all commits since the one followed last must be signed so, merged branches included.
	Every bool
	// MinBake is how long a release must stay ready at least.
	MinBake time.Duration
	// Policy is what promotions must keep to, whatever environment.yaml says; nothing of its own when nil.
	Policy *registry.Policy
	// Prometheus is asked for the serving metrics of the environment's releases; nobody is when nil.
	Prometheus *monitor.Prometheus
}

// Reconciler brings every release of a registry to its cluster and keeps it there.
type Reconciler struct {
	cfg      Config
	desired  atomic.Pointer[desired]
	behind   atomic.Pointer[string] // why the newest commit is not followed
	renderer render.Renderer
	sites    []*site

	following sync.Mutex // one commit at a time; guards ahead once the sites have started
	ahead     *ahead
	accepts   atomic.Bool // Accept was not made use of yet
	within    sync.Map    // the claimed commits that are known to be in the history
	seeking   sync.Mutex  // one walk for others at a time
	mu        sync.Mutex
	states    map[registry.Key]*state
	// open holds the releases that are queued or not settled, with how often each was queued; idle is
	// closed when it empties.
	open    map[registry.Key]int
	idle    chan struct{}
	showing sync.Mutex
	shown   []v1alpha1.Rollout // as told last
	// leaving holds renamed releases that stay until their successor is healthy.
	leaving   map[registry.Key]registry.Key
	errands   *errands
	trainings *trainings
	schedules *schedules
	runs      *runLedgers
	inGit     noted
	quotas    quotas
	past      *history.History         // nil until a promotion asks for it; of the errands, as is newest
	newest    map[string]newestVersion // by model and training
	aside     sync.WaitGroup           // what reads while the sites work
	credited  atomic.Pointer[gitops.Commit]
	over      []gitops.Hash // what was followed before accepted rewrites; guarded by mu
}

// ahead is a registry that was read before it was asked for.
type ahead struct {
	snapshot *gitops.Snapshot
	models   *registry.Registry
}

// New checks cfg.
func New(cfg Config) (*Reconciler, error) {
	switch {
	case cfg.Source == nil || cfg.Images == nil || cfg.Owner == "":
		return nil, errors.New("reconciler needs a source, images and an owner")
	case (cfg.Cluster == nil) == (len(cfg.Grants) == 0):
		return nil, errors.New("reconciler needs a cluster or grants, and not both")
	}
	if cfg.Workers == 0 {
		cfg.Workers = 64
	}
	if cfg.MetricsInterval == 0 {
		cfg.MetricsInterval = defaultMetricsInterval
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Followed == nil {
		cfg.Followed = func(gitops.Hash, error) {}
	}
	if cfg.Rollouts == nil {
		cfg.Rollouts = func([]v1alpha1.Rollout) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Report == nil {
		cfg.Report = cfg.logged
	}
	r := &Reconciler{
		cfg: cfg, states: map[registry.Key]*state{}, open: map[registry.Key]int{}, leaving: map[registry.Key]registry.Key{},
		idle: make(chan struct{}), errands: newErrands(), trainings: newTrainings(), schedules: newSchedules(),
		quotas: quotas{runs: map[runKey]runGPUs{}, waits: map[runKey]bool{}},
	}
	var author gitops.Author
	if cfg.Committer != nil {
		author = *cfg.Committer
	}
	r.runs = newRunLedgers(r, cfg.Source.NewLedger(author))
	r.accepts.Store(!cfg.Accept.IsZero() && !cfg.Accepted)
	if cfg.Cluster != nil {
		r.sites = []*site{newSite(cfg.Cluster)}
		return r, nil
	}
	for name, grant := range cfg.Grants {
		if grant.Cluster == nil {
			return nil, fmt.Errorf("grant of environment %q names no cluster", name)
		}
		at := slices.IndexFunc(r.sites, func(s *site) bool { return s.cluster == grant.Cluster })
		if at < 0 {
			at = len(r.sites)
			r.sites = append(r.sites, newSite(grant.Cluster))
		}
		r.sites[at].environments = append(r.sites[at].environments, name)
	}
	return r, nil
}

// mine says whether this controller works on an environment.
func (r *Reconciler) mine(environment string) bool {
	return len(r.cfg.Only) == 0 || slices.Contains(r.cfg.Only, environment)
}

// site is where an environment's releases go; nil when nobody granted it a place.
func (r *Reconciler) site(environment string) *site {
	for _, s := range r.sites {
		if len(s.environments) == 0 || slices.Contains(s.environments, environment) {
			return s
		}
	}
	return nil
}

// allowed says why a release asks for more than its environment was granted, or nothing.
func (r *Reconciler) allowed(release *registry.Release) error {
	return r.permitted(release.Environment, release.ModelVersion, release.Repository())
}

// permitted says why an environment may not be where it is, or may not have a version's files; v may be nil. What was
// trained here comes from its own images' repository, which is not asked for more than for the image that is there.
func (r *Reconciler) permitted(env *registry.Environment, v *registry.ModelVersion, repository string) error {
	grant, ok := r.cfg.Grants[env.Name]
	if !ok {
		return nil
	}
	if len(grant.Namespaces) > 0 && !slices.Contains(grant.Namespaces, env.Spec.Namespace) {
		return fmt.Errorf("%s: namespace %q is not granted to environment %q (granted: %s)",
			env.Path, env.Spec.Namespace, env.Name, strings.Join(grant.Namespaces, ", "))
	}
	if v == nil {
		return nil
	}
	for _, file := range v.Spec.Files {
		if _, granted := grant.source(file.Source); strings.Contains(file.Source, "://") && !granted && !strings.HasPrefix(file.Source, "oci://"+repository+"@") {
			return fmt.Errorf("%s: source %q is not granted to environment %q (granted: %s)",
				v.Path, gitops.Redact(file.Source), env.Name, grant.prefixes())
		}
	}
	return nil
}

// bake is how long a release must stay ready.
func (r *Reconciler) bakeTime(release *registry.Release) time.Duration {
	return max(release.Environment.Spec.Bake.Or(defaultBake), r.cfg.Grants[release.Environment.Name].MinBake)
}
