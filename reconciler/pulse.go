package reconciler

import (
	"sync"
	"time"
)

// pulse is how lately a site's workers took a release or finished with one, and how many of them are at a model image,
// which may take hours.
type pulse struct {
	mu       sync.Mutex
	beat     time.Time
	building int
}

func (p *pulse) beats() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beat = time.Now()
}

// builds says that a worker is at an image until the returned function is called.
func (p *pulse) builds() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.building++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.building--
		p.beat = time.Now() // it comes back to what takes no hours
	}
}

// stuck is for how long releases that are due have waited while none of the site's workers took or finished one; zero where
// all of them are at images: a build that hangs can't be told from a long one.
func (s *site) stuck(workers int) time.Duration {
	s.pulse.mu.Lock()
	defer s.pulse.mu.Unlock()
	if s.pulse.building >= workers {
		return 0
	}
	return min(s.order.age(), time.Since(s.pulse.beat))
}

// stuck is that of the site where it is longest. One worker that hangs among others that go on is not told by it.
func (r *Reconciler) stuck() (longest time.Duration) {
	for _, s := range r.sites {
		longest = max(longest, s.stuck(r.cfg.Workers))
	}
	return longest
}
