package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Receiver is whom some messages are sent to.
type Receiver struct {
	Name string
	// Environments and States it takes; all environments, and what is urgent of states, when empty.
	Environments, States []string
	// Send sends messages, the oldest first; at most Batch at once, one when zero. A *Refused is not tried again.
	Send  func(ctx context.Context, messages []Message) error
	Batch int
	// Count hears what became of so many messages: sent, failed (they are tried again) or dropped. May be nil.
	Count func(result string, messages int)
}

// The results that Receiver.Count hears.
const (
	Sent    = "sent"
	Again   = "failed"
	Dropped = "dropped"
)

// takes says whether a message is for the receiver.
func (r Receiver) takes(m Message) bool {
	states := r.States
	if len(states) == 0 {
		states = urgent
	}
	return slices.Contains(states, m.State) && (len(r.Environments) == 0 || slices.Contains(r.Environments, m.Environment))
}

// Notifier sends messages to receivers, to each in the order they came, and to none at another's pace. The nil Notifier
// sends nothing. Its methods may be called concurrently.
type Notifier struct {
	lanes []*lane
}

// New starts nothing. Names of receivers go into log and Trouble, what they are reached by does not.
func New(receivers []Receiver, log *slog.Logger) *Notifier {
	n := &Notifier{}
	for _, r := range receivers {
		r.Batch = max(r.Batch, 1)
		if r.Count == nil {
			r.Count = func(string, int) {}
		}
		n.lanes = append(n.lanes, &lane{Receiver: r, log: log, wake: make(chan struct{}, 1), limit: rate.NewLimiter(1, 5)})
	}
	return n
}

// Add hands a message over and returns at once.
func (n *Notifier) Add(m Message) {
	if n == nil {
		return
	}
	for _, l := range n.lanes {
		if l.takes(m) {
			l.add(m)
		}
	}
}

// Run sends until ctx ends, and then what is left, once and for some seconds.
func (n *Notifier) Run(ctx context.Context) {
	if n == nil {
		return
	}
	var work sync.WaitGroup
	for _, l := range n.lanes {
		work.Go(func() { l.run(ctx) })
	}
	work.Wait()
}

// Trouble names the receivers that did not take what they were sent last; it is empty when all did.
func (n *Notifier) Trouble() string {
	if n == nil {
		return ""
	}
	var all []string
	for _, l := range n.lanes {
		if why := l.trouble(); why != "" {
			all = append(all, l.Name+": "+why)
		}
	}
	return strings.Join(all, "; ")
}

// Recall goes on with the Trouble of a process before: who had it keeps it until a message is taken. It is called before Run.
func (n *Notifier) Recall(trouble string) {
	for _, l := range n.lanes {
		if strings.Contains("; "+trouble, "; "+l.Name+": ") {
			l.complain(errBefore)
		}
	}
}

var (
	errEnded  = errors.New("davit ended, or follows as another spec says, before it was taken")
	errBefore = errors.New("what it was sent last was not taken")
)

const (
	// maxWaiting are how many messages may wait for a receiver. Then the oldest are lost: what is newer is of more use.
	maxWaiting = 500
	// tries are how often a message is sent, over about two minutes.
	tries    = 8
	firstTry = time.Second
	lastTry  = time.Minute
	// lastWords is how long the end of the process waits for what is left.
	lastWords = 5 * time.Second
)

// lane is a receiver with what waits for it.
type lane struct {
	Receiver
	log   *slog.Logger
	wake  chan struct{}
	limit *rate.Limiter

	mu      sync.Mutex
	waiting []Message
	lost    int // since a message was last taken
	why     string
}

func (l *lane) add(m Message) {
	l.mu.Lock()
	if l.waiting = append(l.waiting, m); len(l.waiting) > maxWaiting {
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.lost++
		l.Count(Dropped, 1)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next takes the oldest messages out.
func (l *lane) next() []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	some := slices.Clone(l.waiting[:min(l.Batch, len(l.waiting))])
	l.waiting = slices.Delete(l.waiting, 0, len(some))
	return some
}

func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		if l.limit.Wait(ctx) != nil {
			break
		}
		some := l.next()
		if len(some) == 0 {
			select {
			case <-ctx.Done():
			case <-l.wake:
			}
			continue
		}
		l.deliver(ctx, some)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	for ctx.Err() == nil {
		some := l.next()
		if len(some) == 0 {
			return
		}
		l.took(some, l.Send(ctx, some))
	}
	l.abandon()
}

// abandon gives up what is left at the end.
func (l *lane) abandon() {
	l.mu.Lock()
	some := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	if len(some) > 0 {
		l.took(some, errEnded)
	}
}

// deliver sends until it is taken, refused, or given up. When ctx ends it tries once more.
func (l *lane) deliver(ctx context.Context, some []Message) {
	wait := firstTry
	for try := 1; ; try++ {
		err := l.Send(ctx, some)
		if ctx.Err() != nil && err != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			err = l.Send(last, some)
			cancel()
			l.took(some, err)
			return
		}
		again, later := retry(err)
		if !again || try == tries {
			l.took(some, err)
			return
		}
		l.Count(Again, len(some))
		l.complain(err)
		select {
		case <-ctx.Done():
		case <-time.After(max(wait, min(later, 5*lastTry))):
		}
		wait = min(2*wait, lastTry)
	}
}

// took notes what became of messages.
func (l *lane) took(some []Message, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.why, l.lost = "", 0
		l.Count(Sent, len(some))
		return
	}
	l.Count(Dropped, len(some))
	l.why = err.Error()
	l.lost += len(some)
	l.log.Warn("notification lost", "receiver", l.Name, "about", some[0].Subject(), "messages", len(some), "error", err)
}

func (l *lane) complain(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = err.Error()
}

func (l *lane) trouble() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.why == "" && l.lost > 0:
		return fmt.Sprintf("too slow; messages lost: %d", l.lost)
	case l.lost > 0:
		return fmt.Sprintf("%s; messages lost: %d", l.why, l.lost)
	}
	return l.why
}
