package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/davit-dev/davit/reconciler/sops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Manager is the field manager of everything davit applies.
const Manager = "davit"

// The labels that davit expects on a release's objects and pods, and sets on its ModelRelease.
const (
	LabelRelease     = "davit.dev/release"
	LabelEnvironment = "davit.dev/environment"
)

// Config says which cluster to write to, and as whom.
type Config struct {
	// REST is how to reach the API server. Required. Its rate limits are ignored: Workers is the limit.
	REST *rest.Config
	// Log gets nothing when nil.
	Log *slog.Logger
	// Owner names the registry and the controller, without credentials. One that only reads, plans or installs
	// needs none; Claim and Delete refuse without.
	Owner string
	// Holder names this process in its claims; Owner when empty.
	Holder string
	// TakeOver lets Claim replace another owner.
	TakeOver bool
	// TakeOverFrom are the other owners that Claim may replace without that.
	TakeOverFrom []string
	// Workers is how many writes are under way at once, over all releases; 16 when zero. An API server on two
	// cores was fastest with 16.
	Workers int
	// Namespaces are the ones to read and watch; all when empty.
	Namespaces []string
	// Impersonate is who writes objects, reads them and their logs, and sends smoke tests. REST's own user when
	// empty. Watches, discovery, ModelReleases, Events, namespaces and CRDs are always REST's own user's.
	Impersonate rest.ImpersonationConfig
	// Kinds are those a release may hold; every namespaced kind when empty.
	Kinds []schema.GroupKind
	// Decryption gives the keys for Secrets that SOPS encrypted. It is asked each time one is sent, also concurrently. There
	// are none when nil.
	Decryption func(context.Context) (sops.Keys, error)
	// Adopt takes over objects that exist already and are somebody else's; without it they are a *ConflictError.
	Adopt bool

	fence *fence // made by New, and With's is c's
}

// Cluster is one API server. It may be used concurrently.
type Cluster struct {
	cfg        Config
	log        *slog.Logger
	owner      string
	holder     string
	present    sync.Map // names of namespaces that exist
	claims     sync.Map // generations that own claims make, until the watch shows them; by namespace/name
	takeOver   bool
	adopt      bool
	kinds      []schema.GroupKind
	namespaces []string
	writers    *gate
	watcher    *atomic.Pointer[Watcher] // the running one, if any

	releases *rest.RESTClient
	clients          // davit's own identity
	as       clients // whom objects are written as
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	mappings sync.Map // by kind and version
}

// clients speak to the API server as one user.
type clients struct {
	metadata metadata.Interface
	dynamic  dynamic.Interface
	typed    kubernetes.Interface
}

// New connects to nothing yet and starts nothing.
func New(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.REST == nil {
		return nil, errors.New("cluster: REST is required")
	}
	c := &Cluster{cfg: cfg, log: cfg.Log, owner: cfg.Owner, holder: cmp.Or(cfg.Holder, cfg.Owner), takeOver: cfg.TakeOver, namespaces: cfg.Namespaces}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.cfg.fence == nil {
		c.cfg.fence = &fence{}
	}
	c.adopt, c.kinds = cfg.Adopt, slices.Clone(cfg.Kinds)
	c.writers, c.watcher = newGate(cmp.Or(max(cfg.Workers, 0), 16)), &atomic.Pointer[Watcher]{}
	if len(c.namespaces) == 0 {
		c.namespaces = []string{""}
	}
	own := rest.CopyConfig(cfg.REST)
	// The limit is Workers. Warnings of the API server (deprecated versions) would otherwise go to stderr, once
	// per request.
	own.QPS, own.RateLimiter, own.WarningHandler = -1, nil, rest.NoWarnings{}
	own.DisableCompression = own.DisableCompression || near(own)
	own.Wrap(c.writers.watch)
	own.Wrap(c.cfg.fence.guard)
	if err := c.connect(own, cfg.Impersonate); err != nil {
		return nil, fmt.Errorf("setting up clients for %s: %w", cfg.REST.Host, err)
	}
	return c, nil
}

// Namespaces are those of the Config; one that is "" for all of them. They may not be changed.
func (c *Cluster) Namespaces() []string { return c.namespaces }

func (c *Cluster) connect(cfg *rest.Config, user rest.ImpersonationConfig) error {
	http, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return err
	}
	if c.clients, err = clientsFor(cfg, http); err != nil {
		return err
	}
	if c.as = c.clients; user.UserName != "" {
		other := rest.CopyConfig(cfg)
		other.Impersonate = user
		client, err := rest.HTTPClientFor(other)
		if err != nil {
			return err
		}
		if c.as, err = clientsFor(other, client); err != nil {
			return err
		}
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.typed.Discovery()))

	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	cfg.GroupVersion, cfg.APIPath = &v1alpha1.GroupVersion, "/apis"
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeJSON
	c.releases, err = rest.RESTClientForConfigAndClient(cfg, http)
	return err
}

func clientsFor(cfg *rest.Config, http *http.Client) (cs clients, err error) {
	if cs.typed, err = kubernetes.NewForConfigAndClient(cfg, http); err != nil {
		return cs, err
	}
	if cs.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(cfg), http); err != nil {
		return cs, err
	}
	cs.dynamic, err = dynamic.NewForConfigAndClient(dynamic.ConfigFor(cfg), http)
	return cs, err
}

// mapping finds the resource of a kind, and asks the API server again about a kind it did not have: a CRD
// may have come since. What was found is kept: the mapper's search was a large part of an apply that sends nothing.
func (c *Cluster) mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	if m, ok := c.mappings.Load(gvk); ok {
		return m.(*meta.RESTMapping), nil
	}
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		m, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("looking up kind %s: %w", gvk, err)
	}
	c.mappings.Store(gvk, m)
	return m, nil
}

func (c *Cluster) meta(namespace string, gvk schema.GroupVersionKind) (metadata.ResourceInterface, error) {
	m, err := c.mapping(gvk)
	if err != nil {
		return nil, err
	}
	return c.as.metadata.Resource(m.Resource).Namespace(namespace), nil
}

// write runs f when fewer than Workers others run.
func (c *Cluster) write(ctx context.Context, f func() error) error {
	if err := c.writers.enter(ctx); err != nil {
		return err
	}
	defer c.writers.leave()
	return f()
}
