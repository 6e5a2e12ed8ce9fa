package main

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// said is what an attempt's trainers said, and when it came.
type said []line

type line struct {
	text string
	at   time.Time
}

// follow shows what the trainers of an attempt say until they have ended.
func (d *demo) follow(ctx context.Context, attempt int) (said, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	args := []string{"logs", "-f", "-n", "training", "-l", d.pods(attempt), "--tail=-1"}
	fmt.Printf("   $ kubectl %s\n", strings.Join(args, " "))
	cmd := d.Command(ctx, d.Cluster.Bin("kubectl"), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var all said
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Println("     " + lines.Text())
		all = append(all, line{lines.Text(), time.Now()})
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("kubectl logs: %w", err)
	}
	return all, nil
}

// find is when the first line that matches came.
func (s said) find(pattern string) (time.Time, error) {
	want := regexp.MustCompile(pattern)
	for _, l := range s {
		if want.MatchString(l.text) {
			return l.at, nil
		}
	}
	return time.Time{}, fmt.Errorf("no trainer said %q", pattern)
}
