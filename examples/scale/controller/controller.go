// Package controller runs davit's reconciler in a process of its own, wired as davit sync wires it, and tells on
// standard output what a benchmark wants to know of it, one line of JSON each: every change of a release, with
// the time its last object was applied, and for each line of input the API requests, the CPU time and the heap so far.
// A line of input that isn't empty is the name of a file for a profile of the heap.
//
// The process ends when its standard input does, so that it never outlives the one that started it.
package controller

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry/image"
)

// Config says what to follow and where to. It is handed over as JSON.
type Config struct {
	Repository string
	Kubeconfig string
	// Once ends the process when the branch's tip is settled: its Settled line is the time to ready.
	Once bool
	// Mirror is the folder for what is fetched of a remote.
	Mirror string `json:",omitempty"`
	// Page serves the web page; its Page line says where.
	Page bool `json:",omitempty"`
	// Secret has webhooks received that are signed with it; the Hook line says where. None when empty.
	Secret string `json:",omitempty"`
	// Profile is a file for the process's CPU profile; none when empty.
	Profile string `json:",omitempty"`
}

// Kinds of a Line.
const (
	Report   = "report"
	Followed = "followed"
	Settled  = "settled"
	Stats    = "stats"
	Page     = "page"
	Hook     = "hook"
)

// Line is one line of output. Which fields are set depends on Kind.
type Line struct {
	Kind string
	At   time.Time

	Release, Version, Commit, Phase, Reason, Message string    `json:",omitempty"`
	Applied                                          time.Time `json:",omitzero"`  // when the API server had answered the release's last apply
	Uploaded                                         int64     `json:",omitempty"` // bytes of a model image

	URL string `json:",omitempty"` // of the web page, or of the webhook

	Usage *Usage `json:",omitempty"`
}

// Main follows cfg until in ends or ctx does.
func Main(ctx context.Context, cfg Config, in io.Reader, out io.Writer) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(22) // as davit does
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, err := profile(cfg.Profile)
	if err != nil {
		return err
	}
	defer stop()
	w := &writer{out: json.NewEncoder(out)}
	requests := newRequests()
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(in); lines.Scan(); {
			l := Line{Kind: Stats, Usage: usage(requests)}
			if file := lines.Text(); file != "" {
				if err := heap(file); err != nil {
					l.Message = err.Error()
				}
			}
			w.write(l)
		}
	}()
	loop, source, err := wire(ctx, cfg, requests, w)
	if err != nil {
		return err
	}
	if cfg.Secret != "" {
		url, stop, err := receive(ctx, cfg.Secret, source)
		if err != nil {
			return fmt.Errorf("receiving webhooks: %w", err)
		}
		defer stop()
		w.write(Line{Kind: Hook, URL: url})
	}
	if cfg.Page {
		url, stop, err := serve(ctx, "models", loop, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			return fmt.Errorf("serving the page: %w", err)
		}
		defer stop()
		w.write(Line{Kind: Page, URL: url})
	}
	if !cfg.Once {
		return loop.Run(ctx)
	}
	if err := loop.Once(ctx); err != nil {
		return err
	}
	w.write(Line{Kind: Settled, Usage: usage(requests)})
	return nil
}

// wire is davit sync's wiring with a transport that counts.
func wire(ctx context.Context, cfg Config, requests *requests, w *writer) (*reconciler.Reconciler, *gitops.Source, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	klog.SetSlogLogger(log)
	config, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.UserAgent = "davit"
	config.Wrap(requests.wrap)
	source, err := gitops.Open(ctx, gitops.Config{URL: cfg.Repository, Mirror: cfg.Mirror, Log: log})
	if err != nil {
		return nil, nil, err
	}
	owner := cmp.Or(source.Path(), cfg.Repository)
	target, err := cluster.New(ctx, cluster.Config{REST: config, Log: log, Owner: owner})
	if err != nil {
		return nil, nil, err
	}
	builder, err := image.New(image.Config{})
	if err != nil {
		return nil, nil, err
	}
	author := gitops.Davit()
	loop, err := reconciler.New(reconciler.Config{
		Source: source, Cluster: target, Images: builder, Owner: owner, Log: log,
		Name: "davit sync", Notes: source.NewNotes(author, log), Committer: &author,
		Report: func(r reconciler.Report) {
			w.write(Line{
				Kind: Report, Release: r.Key.Name, Version: r.Version, Commit: r.Commit, Uploaded: r.Uploaded,
				Phase: string(r.Phase), Reason: r.Reason, Message: r.Message, Applied: requests.lastApply(r.Key.Name),
			})
		},
		Followed: func(commit gitops.Hash, err error) {
			if err == nil {
				w.write(Line{Kind: Followed, Commit: commit.String()})
			}
		},
	})
	return loop, source, err
}

// writer keeps the lines of many goroutines apart.
type writer struct {
	mu  sync.Mutex
	out *json.Encoder
}

// write drops a line that can't be written: then the reader is gone, and the end of the input ends the process.
func (w *writer) write(l Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.At = time.Now()
	_ = w.out.Encode(l)
}
