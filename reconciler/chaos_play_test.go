package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// play is a script on its way through a world, beside the model of it.
type play struct {
	*world
	m         *model
	api, host *gate // before the API server and the Git server
	remote    string
	mirror    string
	signers   *gitops.Signers
	patience  time.Duration // how long what is wrong may stay so
	davit     *running      // nil while none runs
	last      map[string]gitops.Hash
	accept    gitops.Hash
	clean     bool              // all that was committed is settled
	forced    string            // the tip before the branch was set back
	beside    map[string]bool   // objects that are nobody's, and are to stay; false for those that need not
	fights    map[string]int    // edits of a release since davit started
	images    map[string]string // version -> its image
	steps     int
	brief     bool // what was said in Git does not matter
}

// running is one davit, as a controller runs it.
type running struct {
	*reconciler.Reconciler
	cancel context.CancelFunc
	done   chan error
	source *gitops.Source

	mu    sync.Mutex
	heard gitops.Hash
}

func newPlay(t *testing.T, signed bool) *play {
	t.Helper()
	p := &play{world: newWorld(t), m: newModel(), patience: 20 * time.Second, beside: map[string]bool{}, fights: map[string]int{}, images: map[string]string{}}
	p.branch, p.mirror = "main", t.TempDir()
	p.edit("davit.yaml", dev.Registry+"/models", dev.Registry+"/"+p.id)
	p.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 1")
	p.write("models/iris/versions/v4.yaml", p.text("models/iris/versions/v2.yaml"))
	p.damage("v4")
	p.write("releases/b/serving.yaml", p.text("releases/iris/serving.yaml"))
	p.write("releases/b/production.yaml", p.text("releases/iris/production.yaml"))
	p.m.signed = signed
	if signed {
		key := filepath.Join(t.TempDir(), "key")
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v %s", err, out)
		}
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		if p.signers, err = gitops.ParseSigners("ada@example.com " + string(public)); err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"gpg.format": "ssh", "user.signingkey": key, "commit.gpgsign": "true"} {
			p.git("config", name, value)
		}
	}
	p.git("add", "-A")
	p.git("commit", "-q", "--amend", "-m", "the beginning")
	p.serveGit()
	config := restConfig(t)
	address, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	p.api = newGate(t, address.Host)
	p.took()
	return p
}

// serveGit serves the repository by the real git http-backend.
func (p *play) serveGit() {
	p.t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		p.t.Fatal(err)
	}
	p.git("config", "http.receivepack", "true")
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + p.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	})
	p.t.Cleanup(server.Close)
	p.host = newGate(p.t, server.Listener.Addr().String())
	p.remote = "http://" + p.host.Addr().String() + "/.git"
}

// start starts a davit with what the one before left, as a controller does.
func (p *play) start() error {
	if p.davit != nil || p.api.isShut() || p.host.isShut() {
		return nil
	}
	source, err := gitops.Open(p.t.Context(), gitops.Config{URL: p.remote, Mirror: p.mirror, Branch: p.branch, Interval: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("opening the repository: %w", err)
	}
	config := rest.CopyConfig(restConfig(p.t))
	config.Host = "https://" + p.api.Addr().String()
	through, err := cluster.New(p.t.Context(), cluster.Config{REST: config, Owner: p.id})
	if err != nil {
		return fmt.Errorf("reaching the cluster: %w", err)
	}
	d := &running{done: make(chan error, 1), source: source}
	d.Reconciler = p.reconciler(func(c *reconciler.Config) {
		c.Source, c.Cluster, c.Grants = source, nil, map[string]reconciler.Grant{}
		for _, env := range environments {
			c.Grants[env] = reconciler.Grant{Cluster: through, Namespaces: []string{p.namespace(env)}}
		}
		production := c.Grants["production"]
		production.Signers = p.signers
		c.Grants["production"] = production
		c.Notes = source.NewNotes(gitops.Davit(), slog.New(slog.DiscardHandler))
		c.Last, c.Accept = p.last, p.accept
		c.Report = func(reconciler.Report) {}
		c.Followed = func(commit gitops.Hash, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.heard = commit
		}
	})
	ctx, cancel := context.WithCancel(p.t.Context())
	d.cancel = cancel
	go func() { d.done <- d.Run(ctx) }()
	p.davit = d
	clear(p.fights)
	return nil
}

// stop ends davit as a signal does.
func (p *play) stop() error {
	if p.davit == nil {
		return nil
	}
	d := p.davit
	p.davit = nil
	d.cancel()
	err := <-d.done
	if now := d.Following(); len(now) > 0 {
		p.last = maps.Clone(now)
	}
	p.accept = gitops.Hash{}
	return errors.Join(err, d.source.Close())
}

// kill ends davit with nothing said any more: what it was about to send, to the cluster or to Git, comes to nothing.
func (p *play) kill() error {
	api, host := p.api.isShut(), p.host.isShut()
	p.api.set(true)
	p.host.set(true)
	err := p.stop()
	p.api.set(api)
	p.host.set(host)
	return err
}

// up says that davit runs and reaches everything.
func (p *play) up() bool { return p.davit != nil && !p.api.isShut() && !p.host.isShut() }

var environments = []string{"production", "staging"}

// took has the model take note of HEAD, when it is not what it was.
func (p *play) took() {
	hash := p.git("rev-parse", "HEAD")
	if hash == p.m.tip {
		return
	}
	p.clean = false
	if p.m.commits[hash] == nil {
		files := p.files()
		r := &revision{hash: hash, unsigned: p.git("config", "--default", "", "--get", "commit.gpgsign") != "true", asks: wants(files), broken: unreadable(files)}
		r.parent, _, _ = strings.Cut(p.git("rev-list", "--parents", "-n", "1", hash), "\n")
		if all := strings.Fields(r.parent); len(all) > 1 {
			r.parent = all[1]
		} else {
			r.parent = ""
		}
		p.m.committed(r)
	} else {
		p.m.committed(p.m.commits[hash])
	}
	if p.davit != nil {
		p.davit.source.Notify()
	}
}

// files reads the worktree.
func (p *play) files() map[string]string {
	p.t.Helper()
	files := map[string]string{}
	for name := range strings.FieldsSeq(p.git("ls-files")) {
		if strings.HasSuffix(name, ".yaml") {
			files[name] = p.text(name)
		}
	}
	return files
}
