package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// said is what a command says while it goes on, and when each line came.
type said struct {
	mu    sync.Mutex
	lines []line
	more  chan struct{} // holds a token when there is something new
	ended chan struct{} // is closed when the command has ended, and no line is to come
	err   error         // is the command's, then
}

type line struct {
	text string
	at   time.Time
}

// follow shows what davit shows of a run until it ended, with all its attempts.
func (d *demo) follow(ctx context.Context) (*said, error) {
	fmt.Printf("   $ davit train logs %s -f &\n", d.run)
	cmd := d.Command(ctx, d.Davit(), "train", "logs", d.run, "-f")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &said{more: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Println("     " + lines.Text())
			s.mu.Lock()
			s.lines = append(s.lines, line{lines.Text(), time.Now()})
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
		s.err = cmd.Wait()
	}()
	return s, nil
}

// find waits for a line that matches, and tells when the first one came.
func (s *said) find(ctx context.Context, pattern string) (time.Time, error) {
	want := regexp.MustCompile(pattern)
	deadline := time.After(time.Minute)
	for over := false; ; {
		for _, l := range s.all() {
			if want.MatchString(l.text) {
				return l.at, nil
			}
		}
		if over {
			return time.Time{}, fmt.Errorf("no trainer said %q before the logs ended", pattern)
		}
		select {
		case <-s.more:
		case <-s.ended:
			over = true
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-deadline:
			return time.Time{}, fmt.Errorf("no trainer said %q in a minute", pattern)
		}
	}
}

func (s *said) all() []line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines
}

// end waits until the command has ended by itself.
func (s *said) end(ctx context.Context) error {
	select {
	case <-s.ended:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		return errors.New("the run ended, and its logs are still followed")
	}
}

// count is how many lines have a text.
func (s *said) count(text string) (n int) {
	for _, l := range s.all() {
		if strings.Contains(l.text, text) {
			n++
		}
	}
	return n
}
