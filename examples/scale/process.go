package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
)

// process is a controller that runs as a child of this one.
type process struct {
	started time.Time
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	usages  chan *controller.Usage
	settled chan controller.Line
	urls    chan string // of the web page, or of the webhook
	ended   chan struct{}

	mu       sync.Mutex
	seen     map[string]*progress
	followed map[string]time.Time // by commit
	err      error
}

// progress is where a release stands at a commit. Times are zero until then.
type progress struct {
	commit, phase, message string
	applied, healthy       time.Time
	uploaded               int64
}

// startProcess starts this program again as a controller. Its log goes to logFile.
func startProcess(cfg controller.Config, logFile string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{
		cmd: exec.Command(self, "controller", string(data)), seen: map[string]*progress{}, followed: map[string]time.Time{},
		usages: make(chan *controller.Usage, 1), settled: make(chan controller.Line, 1), urls: make(chan string, 1), ended: make(chan struct{}),
	}
	p.cmd.Stderr = log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the controller: %w", err)
	}
	go p.read(out)
	return p, nil
}

func (p *process) read(out io.Reader) {
	defer close(p.ended)
	for lines := json.NewDecoder(out); ; {
		var l controller.Line
		if err := lines.Decode(&l); err != nil {
			break
		}
		switch l.Kind {
		case controller.Stats:
			if l.Message != "" {
				fmt.Fprintln(os.Stderr, "the controller:", l.Message)
			}
			p.usages <- l.Usage
		case controller.Settled:
			p.settled <- l
		case controller.Page, controller.Hook:
			p.urls <- l.URL
		case controller.Followed:
			p.mu.Lock()
			p.followed[l.Commit] = l.At
			p.mu.Unlock()
		default:
			p.note(l)
		}
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
}

func (p *process) note(l controller.Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[l.Release]
	if s == nil || s.commit != l.Commit {
		s = &progress{commit: l.Commit}
		p.seen[l.Release] = s
	}
	s.phase, s.message, s.uploaded = l.Phase, l.Message, max(s.uploaded, l.Uploaded)
	if s.applied.IsZero() {
		s.applied = l.Applied
	}
	if l.Phase == "Healthy" {
		s.healthy = l.At
	}
}

// at is where a release stands at a commit; the zero value when nothing is known of it there.
func (p *process) at(release, commit string) progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.seen[release]; s != nil && s.commit == commit {
		return *s
	}
	return progress{}
}

// phases counts the releases by phase.
func (p *process) phases() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := map[string]int{}
	for _, s := range p.seen {
		count[s.phase]++
	}
	return count
}

// followedAt is when a commit had been compared and its work, if there was any, was queued.
func (p *process) followedAt(commit string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.followed[commit]
}

// await returns when done says so. The times that count are the child's own, so the interval adds nothing to them.
func (p *process) await(ctx context.Context, what string, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-p.ended:
			return fmt.Errorf("waiting for %s: the controller ended: %w", what, p.err)
		}
	}
	return nil
}

// usage asks the controller what it has used, and has it write a profile of its heap to a file; none when empty.
func (p *process) usage(heap string) (*controller.Usage, error) {
	if _, err := io.WriteString(p.stdin, heap+"\n"); err != nil {
		return nil, fmt.Errorf("asking the controller: %w", err)
	}
	select {
	case u := <-p.usages:
		return u, nil
	case <-p.ended:
		return nil, errors.New("asking the controller: it ended")
	case <-time.After(time.Minute):
		return nil, errors.New("asking the controller: no answer within a minute")
	}
}

// url is where the controller serves what it was started with, the web page or its webhook.
func (p *process) url(ctx context.Context) (string, error) {
	select {
	case url := <-p.urls:
		return url, nil
	case <-p.ended:
		return "", errors.Join(errors.New("the controller ended"), p.err)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// stop ends the controller by closing its input.
func (p *process) stop() error {
	p.stdin.Close()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return errors.New("stopping the controller: killed after 30 s")
	}
}
