package chaos_test

import (
	"os"
	"strings"
)

// crashPoint is a moment of a change's way, seen from outside: a request that is about to come to its server, is half there, or was
// done and not answered.
type crashPoint struct {
	stop  stop
	words string // the request's begin with these
	has   string // its body holds this
	nth   int    // such request; the first for 0
	means string
}

func (p crashPoint) String() string {
	words := []string{"before", "within", "after"}[p.stop] + " " + p.words
	if p.has != "" {
		words += " with " + strings.ReplaceAll(p.has, `"`, "")
	}
	return words + ": " + p.means
}

// crashWay is a change, made to a release that serves, with the points on its way in the order in which they come.
type crashWay struct {
	name   string
	change func(w *crashWorld, key string)
	points []crashPoint
	// meanwhile is what is changed while no controller runs, after the first point. The points of such a way are not for themselves.
	meanwhile func(w *crashWorld, key string)
}

var crashWays = []crashWay{
	{"a version to be built, and an object less", func(w *crashWorld, key string) {
		w.promote(key, w.version(4<<20))
		w.without(key)
	}, []crashPoint{
		{before, "fetch", "", 0, "the commit is not read"},
		{after, "fetch", "", 0, "the commit is on its way into the mirror"},
		{after, "POST upload", "", 0, "an upload begins"},
		{within, "PATCH upload", "", 0, "mid-upload"},
		{after, "PUT upload", "", 0, "weights without an image"},
		{before, "PUT tag", "", 0, "an image without its name"},
		{after, "PUT tag", "", 0, "an image without its signature"},
		{before, "PUT modelreleases", `"spec"`, 0, "built and not claimed"},
		{after, "PUT modelreleases", `"spec"`, 0, "mid-claim"},
		{before, "PATCH deployments", "", 0, "claimed and not applied"},
		{after, "PATCH deployments", "", 0, "applied, and nobody knows"},
		{before, "DELETE configmaps", "", 0, "before pruning"},
		{after, "DELETE configmaps", "", 0, "mid-prune"},
		{before, "PUT modelreleases/status", `"phase":"Healthy"`, 0, "healthy, and not said"},
		{after, "PUT modelreleases/status", `"phase":"Healthy"`, 0, "between status and note"},
		{before, "push refs/notes/davit", "", 0, "no note yet"},
		{after, "push refs/notes/davit", "", 0, "a note, and nobody knows"},
	}, nil},
	{"a new release", func(w *crashWorld, _ string) { w.add("v1") }, []crashPoint{
		{before, "POST modelreleases", "", 0, "not claimed"},
		{after, "POST modelreleases", "", 0, "mid-claim"},
		{before, "PATCH services", "", 0, "mid-apply"},
		{after, "PATCH services", "", 0, "mid-apply"},
	}, nil},
	{"a release whose pods crash", func(w *crashWorld, key string) { w.promote(key, "v3") }, []crashPoint{
		{after, "PATCH deployments", `"v3"`, 0, "it is about to fail"},
		{before, "PUT modelreleases/status", `"phase":"Failed"`, 0, "failed, and not said"},
		{after, "PUT modelreleases/status", `"phase":"Failed"`, 0, "between failure and rollback"},
		{before, "PATCH deployments", `"v1"`, 0, "between claim and rollback"},
		{after, "PATCH deployments", `"v1"`, 0, "mid-rollback"},
		{before, "PUT modelreleases/status", `"phase":"RolledBack"`, 0, "back, and not said"},
		{after, "PUT modelreleases/status", `"phase":"RolledBack"`, 0, "between status and note"},
		{before, "push refs/notes/davit", "", 0, "no note yet"},
		{after, "push refs/notes/davit", "", 0, "a note, and nobody knows"},
	}, nil},
	{"a revert that is proposed", func(w *crashWorld, key string) { w.promote(key, "v3") }, []crashPoint{
		{before, "push refs/heads/davit/revert/", "", 0, "the revert is not proposed"},
		{after, "push refs/heads/davit/revert/", "", 0, "the revert is proposed, and nobody knows"},
	}, nil},
	{"a release that is removed", (*crashWorld).remove, []crashPoint{
		{before, "DELETE deployments", "", 0, "before pruning"},
		{after, "DELETE deployments", "", 0, "mid-prune"},
		{before, "push refs/notes/davit", "", 0, "no object left but its ModelRelease, and no note"},
		{after, "push refs/notes/davit", "", 0, "a note, and nobody knows"},
		{before, "DELETE modelreleases", "", 0, "a note, and the ModelRelease is there"},
		{after, "DELETE modelreleases", "", 0, "nothing left, and nobody knows"},
	}, nil},
	{"a newer revision before the older one settled", func(w *crashWorld, key string) {
		w.promote(key, "v2")
		w.model.pending[key] = "v2 Superseded"
	}, []crashPoint{
		{after, "PATCH deployments", "", 0, "applied, and nobody knows"},
		{after, "PUT modelreleases", `"spec"`, 0, "mid-claim of the newer one"},
		{after, "PATCH deployments", "", 0, "applied, and nobody knows"},
	}, func(w *crashWorld, key string) { w.promote(key, w.version(1<<10)) }},
	{"a release that comes back while it is removed", (*crashWorld).remove, []crashPoint{
		{after, "DELETE deployments", "", 0, "mid-prune"},
	}, (*crashWorld).readd},
	{"a training", func(w *crashWorld, _ string) { w.train() }, []crashPoint{
		{before, "push refs/davit/runs", "", 0, "not claimed"},
		{after, "push refs/davit/runs", "", 0, "claimed, and nobody knows"},
		{before, "PATCH jobs", "", 0, "claimed, and no Job"},
		{after, "PATCH jobs", "", 0, "mid-run: a Job, and nobody knows"},
		{before, "push refs/davit/runs", "", 2, "mid-run: its start is not recorded"},
		{after, "push refs/davit/runs", "", 2, "mid-run: its start is recorded"},
		{before, "push refs/davit/runs", "", 3, "its end is not recorded"},
		{after, "push refs/davit/runs", "", 3, "its end is recorded"},
		{before, "push refs/heads/davit/train/", "", 0, "its version is not proposed"},
		{after, "push refs/heads/davit/train/", "", 0, "its version is proposed, and nobody knows"},
		{before, "push refs/davit/runs", "", 4, "that it is proposed is not recorded"},
	}, nil},
}

// with gives a release an object of its own beside those of its runtime, and without takes it away.
func (w *crashWorld) with(key string) {
	_, name, _ := strings.Cut(key, "/")
	w.write("releases/"+name+"/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n")
	w.write("releases/"+name+"/extra.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {key: value}\n")
	w.model.releases[key].extra = true
}

func (w *crashWorld) without(key string) {
	_, name, _ := strings.Cut(key, "/")
	for _, file := range []string{"kustomization.yaml", "extra.yaml"} {
		if err := os.Remove(w.dir + "/releases/" + name + "/" + file); err != nil {
			w.t.Fatal(err)
		}
	}
	w.model.releases[key].extra = false
}

// atPoints kills at each point of a way. Chained, one change suffers them all, each process living until the next one; otherwise each
// point has a change of its own, which is killed once. There is a release for each change, added before.
func (w *crashWorld) atPoints(report *crashReport, way crashWay, keys []string) {
	if len(keys) == 1 {
		w.chain(report, way, keys[0], way.points)
		return
	}
	for i, p := range way.points {
		w.chain(report, way, keys[i], []crashPoint{p})
	}
}

// added adds the releases that the ways change, in one commit.
func (w *crashWorld) added(report *crashReport, chained bool) (keys [][]string) {
	for _, way := range crashWays {
		n := len(way.points)
		if chained || way.meanwhile != nil {
			n = 1
		}
		var of []string
		for range n {
			of = append(of, w.add("v1"))
			w.with(of[len(of)-1])
		}
		keys = append(keys, of)
	}
	w.model.commits(w.commit("releases to be changed"))
	w.rests(report, "releases were added")
	return keys
}

// chain makes the change, kills the controller at each of these points, and wants it to come to rest after that.
func (w *crashWorld) chain(report *crashReport, way crashWay, key string, points []crashPoint) {
	way.change(w, key)
	for i, p := range points {
		if i > 0 {
			p.nth = 0 // the ones before it were done by those that were killed before
		}
		w.armed(p)
		if i == 0 {
			w.model.commits(w.commit(way.name))
		} else {
			w.start()
		}
		if why := until(restsWithin, w.lives); why != "" {
			w.t.Fatalf("never came to %s", p)
		}
		report.kills++
		report.points[way.name+", "+p.String()]++
		w.front.at(nil)
		if i == 0 && way.meanwhile != nil {
			way.meanwhile(w, key)
			w.model.commits(w.commit(way.name + ", meanwhile"))
		}
	}
	w.start()
	w.rests(report, way.name+", "+points[len(points)-1].String())
}

// lives says that a controller runs; "" when none does.
func (w *crashWorld) lives() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.process != nil {
		return "it lives"
	}
	return ""
}

// armed has the controller that runs now, or the next one when none does, end at a point.
func (w *crashWorld) armed(p crashPoint) {
	passed := 0
	w.front.at(func(r request) *stop {
		if !strings.HasPrefix(r.words, p.words) || strings.HasPrefix(r.words[len(p.words):], "/status") || !strings.Contains(string(r.body), p.has) {
			return nil
		}
		if passed++; passed < p.nth {
			return nil
		}
		return &p.stop
	})
}
