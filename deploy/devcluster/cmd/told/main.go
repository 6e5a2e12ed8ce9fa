// Command told reads what go test -json writes, prints of it what go test would print, and fails where a test wrote a credential that
// it had planted: to its own output, or to that of a command that it ran.
//
//	go test -json ./... | go run ./deploy/devcluster/cmd/told
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/davit-dev/davit/deploy/devcluster/planted"
)

func main() {
	if err := told(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// event is a line of go test -json (go doc test2json).
type event struct{ Action, Package, ImportPath, Test, Output string }

// place is a test, or its package where Test is empty.
type place struct{ Package, Test string }

// listener keeps what each place wrote until it has ended.
type listener struct {
	out    io.Writer
	wrote  map[place][]string
	failed int
	told   map[string]bool
}

// told is an error where a test failed or told something.
func told(in io.Reader, out io.Writer) error {
	l := &listener{out: out, wrote: map[place][]string{}, told: map[string]bool{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				e = event{Action: "build-output", Output: string(line)} // of go itself
			}
			l.hear(e)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	var faults []error
	if l.failed > 0 {
		faults = append(faults, fmt.Errorf("%d tests or packages failed", l.failed))
	}
	var all []string
	for what := range l.told {
		all = append(all, what)
	}
	slices.Sort(all)
	for _, what := range all {
		faults = append(faults, errors.New("a credential that a test planted was told: "+what))
	}
	return errors.Join(faults...)
}

func (l *listener) hear(e event) {
	at := place{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(l.out, e.Output)
	case "output":
		l.search(at, e.Output)
		if word, _, _ := strings.Cut(e.Output, " "); e.Test == "" || word != "===" {
			l.wrote[at] = append(l.wrote[at], e.Output)
		}
	case "fail":
		l.failed++
		if e.Test == "" {
			l.unended(e.Package)
		}
		fmt.Fprint(l.out, strings.Join(l.wrote[at], ""))
		delete(l.wrote, at)
	case "pass", "skip":
		if e.Test == "" && len(l.wrote[at]) > 0 { // ok and the time
			fmt.Fprint(l.out, l.wrote[at][len(l.wrote[at])-1])
		}
		delete(l.wrote, at)
	}
}

// unended prints what the tests wrote that had no end of their own, as when a package takes too long.
func (l *listener) unended(pkg string) {
	for at, wrote := range l.wrote {
		if at.Package == pkg && at.Test != "" {
			fmt.Fprint(l.out, strings.Join(wrote, ""))
			delete(l.wrote, at)
		}
	}
}

// search leaves out the commands of scripts, which testscript writes too: there the test itself names what it plants.
func (l *listener) search(at place, text string) {
	if strings.HasPrefix(strings.TrimSpace(text), "> ") {
		return
	}
	if word := planted.Find([]byte(text)); word != "" {
		l.told[strings.TrimSpace(at.Package+" "+at.Test)+": "+word] = true
	}
}
