package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// ControllerConfig is what a controller works with. All but Only, Workers and Report are required.
type ControllerConfig struct {
	// Cluster is davit's own, where the ModelRegistries are.
	Cluster *cluster.Cluster
	// Namespace is the one they are in, with their Secrets.
	Namespace string
	// Mirrors is the folder for the mirrors of their repositories.
	Mirrors string
	Images  *image.Builder
	// Only names the environments this controller works on; all when empty.
	Only    []string
	Workers int
	// MetricsInterval is as that of Config.
	MetricsInterval time.Duration
	Log             *slog.Logger
	// Report receives what Config's does.
	Report func(Report)
	// Metrics have a Recorder for each ModelRegistry; nothing is counted when nil.
	Metrics *metrics.Metrics
	// Tracer is Config's.
	Tracer trace.Tracer
	// Hook has a ModelRegistry's webhooks handled until remove is called; none are received when nil.
	Hook func(registry string, handler http.Handler) (remove func())
	// Following is told of each ModelRegistry that begins to be followed, and by end that this has ended; nobody is when nil.
	// It may be called concurrently.
	Following func(ctx context.Context, registry string, r *Reconciler) (end func())

	secrets  *secretNews       // of Namespace
	recorder *metrics.Recorder // of the ModelRegistry that is followed
}

// Control follows every ModelRegistry of the namespace as its spec says, until ctx ends. One that can't be followed is
// told in its status and tried again; it does not concern the others.
func Control(ctx context.Context, cfg ControllerConfig) error {
	if cfg.Cluster == nil || cfg.Namespace == "" || cfg.Mirrors == "" || cfg.Images == nil || cfg.Log == nil {
		return errors.New("controller needs a cluster, a namespace, a folder for mirrors, images and a log")
	}
	ctx, cancel := context.WithCancel(ctx)
	var keepers sync.WaitGroup
	defer keepers.Wait()
	defer cancel()
	cfg.secrets = &secretNews{uses: map[*secretUse]bool{}}
	defer cfg.Cluster.WatchSecrets(ctx, cfg.Namespace, cfg.secrets.tell)()
	specs := map[string]chan registryNews{}
	return cfg.Cluster.WatchRegistries(ctx, cfg.Namespace, func(mr *v1alpha1.ModelRegistry) {
		spec := specs[mr.Name]
		if spec == nil {
			spec = make(chan registryNews, 1)
			specs[mr.Name] = spec
			keepers.Go(func() { cfg.keep(ctx, spec) })
		}
		next := registryNews{now: mr}
		select { // the newest spec counts
		case unread := <-spec:
			next.gone = unread.before(mr)
		default:
		}
		spec <- next
	})
}

// registryNews is what a ModelRegistry is now, and one of its name that was deleted before and that nobody has seen to.
type registryNews struct{ gone, now *v1alpha1.ModelRegistry }

// before is the one that was deleted before another one came.
func (n registryNews) before(next *v1alpha1.ModelRegistry) *v1alpha1.ModelRegistry {
	if n.now.DeletionTimestamp != nil && n.now.UID != next.UID {
		return n.now
	}
	return n.gone
}

// keep follows one ModelRegistry, from the beginning again whenever its spec changes.
func (cfg ControllerConfig) keep(ctx context.Context, specs <-chan registryNews) {
	var following sync.WaitGroup
	stop := func() {}
	for {
		select {
		case <-ctx.Done():
			stop()
			following.Wait()
			return
		case next := <-specs:
			stop()
			following.Wait()
			var run context.Context
			run, stop = context.WithCancel(ctx)
			following.Go(func() {
				if next.gone != nil {
					cfg.leave(ctx, ended(run), next.gone)
				}
				if next.now.DeletionTimestamp != nil {
					cfg.leave(ctx, run, next.now)
				} else {
					cfg.follow(run, next.now)
				}
			})
		}
	}
}

// ended is a context that has ended.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// follow follows a ModelRegistry until ctx ends, and tries again what can't be begun.
func (cfg ControllerConfig) follow(ctx context.Context, mr *v1alpha1.ModelRegistry) {
	log := cfg.Log.With("registry", mr.Name)
	if mr.Spec.Suspend {
		cfg.stays(ctx, mr, log)
		return
	}
	cfg.recorder = cfg.Metrics.Registry(mr.Name)
	defer cfg.recorder.Close()
	changed := make(chan struct{}, 1)
	anew, once := secretsOf(&mr.Spec)
	defer cfg.secrets.on(append(anew, once...), func() { wake(changed) })()
	cfg.begins(ctx, mr, log)
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		running, stop := cfg.untilSecrets(ctx, mr)
		err := cfg.run(running, mr, log)
		again := running.Err() != nil
		stop()
		if ctx.Err() != nil {
			return
		}
		if again {
			log.Info("a Secret changed that is read once; following begins anew")
			continue
		}
		log.Error("registry not followed; it is tried again", "error", err)
		cfg.recorder.Followed(time.Time{}, err)
		cfg.tell(ctx, mr, log, told{err: err})
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-time.After(wait):
		}
	}
}

func (cfg ControllerConfig) run(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger) error {
	var last lastTold
	line := &contact{tell: func(err error) {
		if t := last.or(err); t.err != nil || t.revision != "" {
			cfg.tell(ctx, mr, log, t)
		}
	}}
	source, access, closeSource, err := cfg.open(ctx, mr, log, gitops.Config{
		Branch: mr.Spec.Branch, Tag: mr.Spec.Tag, Semver: mr.Spec.Semver, Folder: mr.Spec.Path,
		Mirror: filepath.Join(cfg.Mirrors, mr.Name), Interval: mr.Spec.Interval.Duration, Reached: line.reached, Looked: cfg.recorder.Looked,
	})
	if err != nil {
		return err
	}
	defer closeSource()
	cfg.recorder.Every(mr.Spec.Interval.Duration)
	grants := map[string]Grant{}
	for _, granted := range mr.Spec.Environments {
		if grants[granted.Name], err = cfg.grant(ctx, mr, granted, owner(mr)); err != nil {
			return fmt.Errorf("environment %q: %w", granted.Name, err)
		}
	}
	copies, err := cfg.dropCopies(ctx, mr, log)
	if err != nil {
		return err
	}
	left, err := cfg.place(ctx, mr, copies)
	if err != nil {
		return err
	}
	before, err := cfg.before(ctx, mr)
	if err != nil {
		return err
	}
	images, err := cfg.images(mr)
	if err != nil {
		return err
	}
	var r *Reconciler
	config := Config{
		Source: source, Accept: gitops.ParseHash(mr.Spec.AcceptRewrite), Accepted: before.accepted, Last: before.following, Images: images, Grants: grants, Former: cfg.former(ctx, mr, log, left), Only: cfg.Only, Owner: owner(mr), Workers: cfg.Workers, Log: log, Report: cfg.Report,
		Metrics: cfg.recorder, Tracer: cfg.Tracer, MetricsInterval: cfg.MetricsInterval,
		Followed: func(commit gitops.Hash, err error) {
			went := told{source.Revision(commit), r.author(ctx, commit), r.Following(), r.Accepted(), err}
			last.set(went)
			cfg.tell(ctx, mr, log, went)
		},
		ModelRegistry: func(ctx context.Context) (*v1alpha1.ModelRegistry, error) {
			return cfg.Cluster.Registry(ctx, mr.Namespace, mr.Name)
		},
		Rollouts: func(rollouts []v1alpha1.Rollout) {
			cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) { st.Rollouts = rollouts })
		},
	}
	config.Connected, config.Monitored = cfg.tellConnected(ctx, mr, log), cfg.tellMonitored(ctx, mr, log)
	if err := cfg.backs(ctx, mr, access, log, &config); err != nil {
		return err
	}
	stopNotifying, err := cfg.notifies(ctx, mr, log, &config)
	if err != nil {
		return err
	}
	defer stopNotifying()
	defer cfg.keepsCopies(ctx, mr, log, grants)()
	defer cfg.hook(mr, source, log)()
	defer cfg.tellRecorded(ctx, mr, log, config.Notes)()
	r, err = New(config)
	if err != nil {
		return err
	}
	anew, _ := secretsOf(&mr.Spec)
	defer cfg.secrets.on(anew, r.tryAgain)()
	if cfg.Following != nil {
		defer cfg.Following(ctx, mr.Name, r)()
	}
	return cmp.Or(r.Run(ctx), errors.New("following ended"))
}

func owner(mr *v1alpha1.ModelRegistry) string { return mr.Namespace + "/" + mr.Name }

// grant turns an environment's authority into the clients that have it and no more.
func (cfg ControllerConfig) grant(ctx context.Context, mr *v1alpha1.ModelRegistry, g v1alpha1.EnvironmentGrant, owner string) (Grant, error) {
	var kubeconfig []byte
	if g.Cluster != nil {
		var err error
		if kubeconfig, err = cfg.Cluster.Secret(ctx, mr.Namespace, g.Cluster.Secret, g.Cluster.Key); err != nil {
			return Grant{}, err
		}
	}
	target, err := cfg.Cluster.With(ctx, kubeconfig, func(c *cluster.Config) {
		c.Owner, c.Namespaces, c.TakeOverFrom = owner, g.Namespaces, mr.Spec.TakeOver
		cfg.decrypts(c, mr.Namespace, g.Decryption)
		for _, kind := range g.Kinds {
			c.Kinds = append(c.Kinds, schema.ParseGroupKind(kind))
		}
		if sa := g.ServiceAccount; sa != nil {
			c.Impersonate = cluster.ServiceAccount(sa.Namespace, sa.Name)
		}
	})
	if err != nil {
		return Grant{}, err
	}
	grant := Grant{Cluster: target, Namespaces: g.Namespaces, Sources: g.Sources, Secret: cfg.secret(mr.Namespace), MaxDeletions: g.MaxDeletions, MinBake: g.MinBake.Duration}
	if grant.PullSecrets = g.PullSecrets; len(g.PullSecrets) > 0 {
		grant.Pullable = cfg.pullSecrets(mr.Namespace, g.PullSecrets, target).bring
	}
	if g.Images != nil {
		policy, err := imagePolicy(g.Images.Keys, g.Images.Provenance)
		if err != nil {
			return Grant{}, fmt.Errorf("images.keys: %w", err)
		}
		grant.Images = []image.Policy{policy}
	}
	if grant.Policy, err = floor(g.Policy); err != nil {
		return Grant{}, err
	}
	if grant.Prometheus, err = cfg.prometheus(mr, g.Prometheus); err != nil {
		return Grant{}, err
	}
	if grant.Every = g.Verify == "Every"; len(g.Signers) > 0 {
		grant.Signers, err = gitops.ParseSigners(strings.Join(g.Signers, "\n"))
	}
	return grant, err
}

// secret reads Secrets beside a ModelRegistry, anew each time.
func (cfg ControllerConfig) secret(namespace string) func(context.Context, string) (map[string]string, error) {
	return func(ctx context.Context, name string) (map[string]string, error) {
		data, err := cfg.Cluster.Secrets(ctx, namespace, name)
		out := map[string]string{}
		for key, value := range data {
			out[key] = string(value)
		}
		return out, err
	}
}

// told is how following goes, and went.
type told struct {
	revision  string
	author    string
	following map[string]gitops.Hash
	accepted  bool // spec.acceptRewrite was made use of
	err       error
}

// tell writes it into the ModelRegistry's status, from where the next process takes what was followed.
func (cfg ControllerConfig) tell(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, t told) {
	taken, news := t.err == nil, false
	if errors.As(t.err, new(*UnverifiedError)) {
		log.Warn("commit not signed", "revision", t.revision, "error", t.err)
		taken = true // it is followed where it need not be signed
	}
	cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) {
		if taken {
			st.Revision, st.Author = t.revision, t.author
			recordFollowed(st, mr.Spec.Environments, t.following)
			if t.accepted {
				st.Accepted = mr.Spec.AcceptRewrite
			} else if st.Accepted != mr.Spec.AcceptRewrite { // else another controller's made use of it
				st.Accepted = ""
			}
		}
		news = followingOf(t.err).set(st, mr.Generation)
	})
	if news {
		cfg.announce(ctx, mr, t)
	}
}

// before reads what the process before wrote there.
func (cfg ControllerConfig) before(ctx context.Context, mr *v1alpha1.ModelRegistry) (t told, err error) {
	t.following = map[string]gitops.Hash{}
	err = cfg.Cluster.WriteRegistryStatus(ctx, mr, func(live *v1alpha1.ModelRegistry) {
		for _, f := range live.Status.Followed {
			t.following[f.Environment] = gitops.ParseHash(f.Commit)
		}
		t.accepted = live.Status.Accepted != "" && live.Status.Accepted == mr.Spec.AcceptRewrite
	})
	return t, err
}

func (cfg ControllerConfig) status(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, change func(*v1alpha1.ModelRegistryStatus)) {
	err := cfg.Cluster.WriteRegistryStatus(ctx, mr, func(live *v1alpha1.ModelRegistry) { change(&live.Status) })
	if err != nil && ctx.Err() == nil {
		log.Warn("status of the registry not written", "error", err)
	}
}
