package fleet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry"
)

// deed is one commit of the branch: who made it, and what its files are about. It never changes.
type deed struct {
	hash, parent gitops.Hash // a zero parent where the history, or a shallow clone, ends
	when         time.Time   // the committer's: that of the merge
	who          history.Who
	touches      []registry.Touch
	more         int // touches that are not among them
}

// mostTouches bounds what is kept of one commit: a first one can bring ten thousand models.
const mostTouches = 50

// chronicle is what was, up to one tip and as far as one state of the outcomes tells it. It never changes: what people ask
// for is selected from it in memory, and reading all of it anew takes a second in a large registry.
type chronicle struct {
	tip      gitops.Hash
	outcomes string  // EventsAt
	deeds    []*deed // newest first
	// effects are what a commit did to releases, and what came of it; newest is the last commit that did something to one.
	effects  map[string][]history.Revision
	newest   map[registry.Key]string
	troubles []Trouble
	// made is the commit that brought a version, by the version's file.
	made map[string]*deed
	// cut says that a shallow clone ends at the last of deeds.
	cut bool
}

// chronicler keeps the newest chronicle.
type chronicler struct {
	mu    sync.Mutex
	now   *chronicle
	asked time.Time
	edits editCache
}

// How often it is looked whether there are new commits or outcomes, and for how long after a question whether outcomes are:
// they are noted some seconds after the cluster tells the same.
const (
	lookEvery = time.Second
	lookFor   = time.Minute
)

// watchCommits tells of new commits, which may change no release, and of new outcomes, until ctx ends.
func (f *followed) watchCommits(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last, _ := f.Registry()
	behind := f.Behind()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, _ := f.Registry()
		why := f.Behind()
		if now != last || why != behind || f.told.old(f.Source()) {
			f.changes.tell(Change{Registry: f.name})
		}
		last, behind = now, why
	}
}

// old says that outcomes were noted since somebody asked; not while somebody does.
func (c *chronicler) old(source *gitops.Source) bool {
	if !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	if c.now == nil || time.Since(c.asked) > lookFor {
		return false
	}
	outcomes, err := source.EventsAt()
	return err == nil && outcomes != c.now.outcomes
}

// chronicle is that of the commit which is followed; nil before there is one. What is new since it was asked for last is read
// first; who asks meanwhile waits.
func (l *look) chronicle(ctx context.Context) (*chronicle, error) {
	if l.snapshot == nil {
		return nil, nil
	}
	l.told.mu.Lock()
	defer l.told.mu.Unlock()
	l.told.asked = time.Now()
	tip := l.snapshot.Hash()
	outcomes, err := l.Source().EventsAt()
	if err != nil {
		return nil, err
	}
	if now := l.told.now; now != nil && now.tip == tip && now.outcomes == outcomes {
		return now, nil
	}
	next := &chronicle{tip: tip, outcomes: outcomes}
	if err := next.read(ctx, l, l.told.now); err != nil {
		return nil, err
	}
	if err := next.judge(ctx, l.past); err != nil {
		return nil, err
	}
	l.told.now = next
	return next, nil
}

// read takes over the deeds that an older chronicle has, and reads those before.
func (c *chronicle) read(ctx context.Context, l *look, old *chronicle) error {
	if old == nil {
		old = &chronicle{}
	}
	if old.tip == c.tip {
		c.deeds, c.made, c.cut = old.deeds, old.made, old.cut
		return nil
	}
	whole := true
	made := map[string]*deed{}
	err := l.Source().FirstParents(ctx, c.tip, func(commit gitops.Commit, paths []string) (bool, error) {
		if commit.Hash == old.tip {
			whole = false
			return false, nil
		}
		d, err := l.deed(ctx, commit, paths)
		if err != nil {
			return false, err
		}
		c.deeds = append(c.deeds, d)
		for _, t := range registry.Touches(paths) {
			if t.Kind == registry.TouchedVersion {
				made[t.Path] = d // an older one is the one that brought it
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	if c.made = made; !whole {
		c.deeds, c.cut = slices.Concat(c.deeds, old.deeds), old.cut
		c.made = maps.Clone(old.made)
		for file, d := range made {
			if c.made[file] == nil {
				c.made[file] = d
			}
		}
		return nil
	}
	last := c.deeds[len(c.deeds)-1]
	c.cut, err = l.Source().Shallow(last.hash)
	if c.cut { // nobody knows who brought what it has
		maps.DeleteFunc(c.made, func(_ string, d *deed) bool { return d == last })
	}
	return err
}

func (l *look) deed(ctx context.Context, commit gitops.Commit, paths []string) (*deed, error) {
	who, err := l.past.Who(ctx, commit.Hash.String(), nil)
	if err != nil {
		return nil, err
	}
	d := &deed{hash: commit.Hash, when: commit.Committer.When, who: who, touches: registry.Touches(paths)}
	if len(commit.Parents) > 0 {
		d.parent = commit.Parents[0]
	}
	if d.more = len(d.touches) - mostTouches; d.more > 0 {
		d.touches = slices.Clone(d.touches[:mostTouches])
	}
	d.more = max(d.more, 0)
	return d, nil
}

// judge adds what came of the commits.
func (c *chronicle) judge(ctx context.Context, past *history.History) error {
	all, err := past.Revisions(ctx, c.tip, history.Filter{})
	if err != nil {
		return err
	}
	c.effects, c.newest = map[string][]history.Revision{}, map[registry.Key]string{}
	events := map[registry.Key][]gitops.Noted{}
	for from := 0; from < len(all); {
		to := from
		for ; to < len(all) && all[to].Commit == all[from].Commit; to++ {
			r := &all[to]
			if c.newest[r.Release] == "" {
				c.newest[r.Release] = r.Commit
			}
			for _, e := range r.Events {
				events[r.Release] = append(events[r.Release], gitops.Noted{Commit: gitops.ParseHash(r.Commit), Event: e})
			}
		}
		c.effects[all[from].Commit] = all[from:to:to]
		from = to
	}
	for key, list := range events {
		c.troubles = append(c.troubles, troubles(key, list)...)
	}
	slices.SortFunc(c.troubles, func(a, b Trouble) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Release, b.Release))
	})
	return nil
}
