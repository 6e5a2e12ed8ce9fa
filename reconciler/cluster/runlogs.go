package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// logsEvery is how often a followed run's pods are looked at, for those that began or came since.
const logsEvery = time.Second

// streamTries is how often in a row a log that ended may break without a new line.
const streamTries = 3

// LogQuery says which lines of a run are wanted.
type LogQuery struct {
	// Follow has it go on until the run ended, with each container and each attempt as it begins; without, it ends with what
	// is written so far, pod after pod.
	Follow bool
	// Tail is how many of a container's last lines are given to begin with; all when zero.
	Tail int64
	// After is the time of the last line that is known of containers, by [LogLine.Source]: the lines up to it are passed over,
	// and Tail counts for others alone.
	After map[string]time.Time
}

// LogLine is a line that a container of a run wrote, or a part of 64 KiB of it.
type LogLine struct {
	Rank      int
	Container string
	Text      string
	// At is when it was written, by the node's clock; zero where that is not known.
	At time.Time
	// Rest says that it goes on with the line before.
	Rest bool
	pod  types.UID
}

// Source names the container of the pod, in few letters.
func (l LogLine) Source() string {
	return string(l.pod[:min(8, len(l.pod))]) + "." + l.Container[:min(1, len(l.Container))]
}

// RunLogs is [Cluster.RunLines] of all lines.
func (c *Cluster) RunLogs(ctx context.Context, namespace, name string, follow bool, write func(rank int, container, line string)) error {
	return c.RunLines(ctx, namespace, name, LogQuery{Follow: follow}, func(l LogLine) { write(l.Rank, l.Container, l.Text) })
}

// RunLines gives the lines that a run's trainers and publishers wrote, of all ranks and of the attempts whose pods are
// still there. write is called by one goroutine at a time. A run that is not there is an error.
func (c *Cluster) RunLines(ctx context.Context, namespace, name string, q LogQuery, write func(LogLine)) error {
	l := &runLogs{c: c, write: write, LogQuery: q, begun: map[string]bool{}}
	defer l.work.Wait()
	for found := false; ; found = true {
		r, err := c.Run(ctx, namespace, name)
		switch {
		case err != nil:
			return err
		case r == nil && !found:
			return fmt.Errorf("run %s is not in namespace %s", name, namespace)
		}
		// After the run's state: a pod that came in between is still found.
		if err := l.look(ctx, namespace, name); err != nil {
			return err
		}
		if !q.Follow || r == nil || r.Phase.Ended() {
			l.work.Wait()
			return errors.Join(l.errs...)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(logsEvery):
		}
	}
}

// runLogs are the logs of one run that are being read.
type runLogs struct {
	LogQuery
	c     *Cluster
	begun map[string]bool // by pod's UID and container
	work  sync.WaitGroup

	mu    sync.Mutex
	write func(LogLine)
	errs  []error
}

// look begins to read each container that has begun since.
func (l *runLogs) look(ctx context.Context, namespace, name string) error {
	list, err := l.c.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: LabelRun + "=" + name})
	if err != nil {
		return fmt.Errorf("listing the pods of run %s: %w", name, err)
	}
	pods := list.Items
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
			return order
		}
		return rank(&a) - rank(&b)
	})
	for i := range pods {
		for _, container := range []string{trainerName, publisherName} {
			s := containerStatus(&pods[i], container).State
			key := string(pods[i].UID) + "/" + container
			if l.begun[key] || s.Running == nil && s.Terminated == nil {
				continue
			}
			l.begun[key] = true
			one := containerLog{l, namespace, pods[i].Name, pods[i].UID, rank(&pods[i]), container}
			if l.Follow {
				l.work.Go(func() { one.read(ctx) })
			} else {
				one.read(ctx)
			}
		}
	}
	return nil
}

// containerLog is that of one container.
type containerLog struct {
	*runLogs
	namespace, pod string
	uid            types.UID
	rank           int
	container      string
}

// read reads until the container ended; a connection that breaks is made anew, from the last line's time, also when the
// container ended meanwhile: what it wrote last is still to come.
func (l containerLog) read(ctx context.Context) {
	last := l.After[LogLine{pod: l.uid, Container: l.container}.Source()]
	for vain := 0; ; {
		before := last
		err := l.stream(ctx, &last)
		if vain++; last.After(before) {
			vain = 0
		}
		switch {
		case ctx.Err() != nil || err == nil && (!l.Follow || !l.runs(ctx)):
			return
		case err != nil && vain >= streamTries && !(l.Follow && l.runs(ctx)):
			l.mu.Lock()
			l.errs = append(l.errs, fmt.Errorf("reading the log of %s in pod %s: %w", l.container, l.pod, err))
			l.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(logsEvery):
		}
	}
}

// runs says whether more may come of the container.
func (l containerLog) runs(ctx context.Context) bool {
	p, err := l.c.typed.CoreV1().Pods(l.namespace).Get(ctx, l.pod, metav1.GetOptions{})
	return err == nil && p.UID == l.uid && containerStatus(p, l.container).State.Running != nil
}

func (l containerLog) stream(ctx context.Context, last *time.Time) error {
	opts := &corev1.PodLogOptions{Container: l.container, Follow: l.Follow, Timestamps: true}
	if !last.IsZero() {
		since := metav1.NewTime(*last)
		opts.SinceTime = &since // of whole seconds: what came before is passed over
	} else if l.Tail > 0 {
		opts.TailLines = &l.Tail
	}
	body, err := l.c.as.typed.CoreV1().Pods(l.namespace).GetLogs(l.pod, opts).Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	return l.lines(body, last)
}

// lines passes on the lines after last, which it moves on. Each begins with its time.
func (l containerLog) lines(body io.Reader, last *time.Time) error {
	after := *last
	lines := bufio.NewReaderSize(body, 64<<10)
	skip, part := false, false
	for {
		line, more, err := lines.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text := string(line)
		if !part {
			stamp, rest, _ := strings.Cut(text, " ")
			if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
				text, skip, *last = rest, !after.IsZero() && !at.After(after), at
			}
		}
		if !skip {
			l.mu.Lock()
			l.write(LogLine{Rank: l.rank, Container: l.container, Text: strings.ToValidUTF8(text, "\uFFFD"), At: *last, Rest: part, pod: l.uid})
			l.mu.Unlock()
		}
		part = more
	}
}
