package chaos_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// invariants hold once the controller has come to rest, however it was killed before.
var invariants = []struct {
	name    string
	differs func(*crashWorld) string
}{
	{"desired state reached", (*crashWorld).desired},
	{"held stays held", (*crashWorld).heldBack},
	{"no orphan object", (*crashWorld).orphans},
	{"no double run", (*crashWorld).ranOnce},
	{"no lost or duplicated note", (*crashWorld).noted},
	{"no unsigned or unverified image applied", (*crashWorld).signed},
	{"repository and mirror are whole", (*crashWorld).sane},
}

// restsWithin is how long a controller may take after it was started anew.
const restsWithin = 3 * time.Minute

// rests waits for the invariants, and counts them. What comes after a violation tells nothing.
func (w *crashWorld) rests(done *crashReport, after string) {
	w.t.Helper()
	deadline := time.Now().Add(restsWithin)
	for _, i := range invariants {
		why := until(time.Until(deadline), func() string { return i.differs(w) })
		done.check(i.name, after, why)
		if why != "" {
			w.t.Fatalf("%s: not so after %s: %s", i.name, after, why)
		}
	}
}

func (w *crashWorld) modelReleases() (out map[string]v1alpha1.ModelRelease, err error) {
	list, err := w.dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).List(w.t.Context(), metav1.ListOptions{})
	out = map[string]v1alpha1.ModelRelease{}
	for i := 0; err == nil && i < len(list.Items); i++ {
		var mr v1alpha1.ModelRelease
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &mr)
		out[mr.Spec.Environment+"/"+mr.Spec.Release] = mr
	}
	return out, err
}

func (w *crashWorld) desired() string {
	have, err := w.modelReleases()
	if err != nil {
		return err.Error()
	}
	for key, want := range w.model.releases {
		st := have[key].Status
		phase := v1alpha1.Healthy
		if want.held() {
			phase = v1alpha1.RolledBack
		}
		if st.Phase != phase || st.Applied.Version != want.serves {
			return fmt.Sprintf("%s is %s at %q (%s), not %s at %s", key, st.Phase, st.Applied.Version, st.Message, phase, want.serves)
		}
		env, name, _ := strings.Cut(key, "/")
		d, err := w.client.AppsV1().Deployments(env).Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if v := d.Spec.Template.Labels[crashVersion]; v != want.serves || d.Status.ReadyReplicas != 1 {
			return fmt.Sprintf("Deployment of %s has %s, %d ready", key, v, d.Status.ReadyReplicas)
		}
	}
	return ""
}

// heldBack also asks how often a held version came to a Deployment: once for each commit that asked for it.
func (w *crashWorld) heldBack() string {
	have, err := w.modelReleases()
	if err != nil {
		return err.Error()
	}
	for key, want := range w.model.releases {
		held := have[key].Status.Held
		if want.held() != (held != nil && held.Version == want.asked) {
			return fmt.Sprintf("%s, asked for %s, serves %s and holds %+v", key, want.asked, want.serves, held)
		}
	}
	w.trace.mu.Lock()
	defer w.trace.mu.Unlock()
	for key, n := range w.trace.broken {
		if n != w.model.broken[key] {
			return fmt.Sprintf("v3 came to %s %d times, and was asked for %d times", key, n, w.model.broken[key])
		}
	}
	return ""
}

func (w *crashWorld) orphans() string {
	var want, have []string
	for key, r := range w.model.releases {
		env, name, _ := strings.Cut(key, "/")
		if r.extra {
			want = append(want, env+" ConfigMap "+name+"-extra")
		}
		want = append(want, env+" Deployment "+name, env+" Service "+name, env+" ModelRelease "+env+"."+name)
	}
	releases, err := w.modelReleases()
	for _, mr := range releases {
		have = append(have, mr.Namespace+" ModelRelease "+mr.Name)
	}
	for _, ns := range []string{"staging", "production"} {
		deployments, e1 := w.client.AppsV1().Deployments(ns).List(w.t.Context(), metav1.ListOptions{})
		services, e2 := w.client.CoreV1().Services(ns).List(w.t.Context(), metav1.ListOptions{})
		configs, e3 := w.client.CoreV1().ConfigMaps(ns).List(w.t.Context(), metav1.ListOptions{})
		if err = errors.Join(err, e1, e2, e3); err != nil {
			return err.Error()
		}
		for _, o := range deployments.Items {
			have = append(have, ns+" Deployment "+o.Name)
		}
		for _, o := range services.Items {
			have = append(have, ns+" Service "+o.Name)
		}
		for _, o := range configs.Items {
			if o.Name != "kube-root-ca.crt" {
				have = append(have, ns+" ConfigMap "+o.Name)
			}
		}
	}
	return apart(want, have)
}

// apart says what two lists have that the other has not; "" for the same.
func apart(want, have []string) string {
	slices.Sort(want)
	slices.Sort(have)
	if slices.Equal(want, have) {
		return ""
	}
	only := func(a, b []string) (out []string) {
		left := slices.Clone(b)
		for _, s := range a {
			if i := slices.Index(left, s); i >= 0 {
				left = slices.Delete(left, i, i+1)
			} else {
				out = append(out, s)
			}
		}
		return out
	}
	return fmt.Sprintf("missing %q, too many %q", only(want, have), only(have, want))
}

// ranOnce reads the ledger with git, and counts the Jobs that were ever made and the versions that were proposed.
func (w *crashWorld) ranOnce() string {
	for _, hash := range w.model.runs {
		var run gitops.Run
		text, err := w.try("git", "show", gitops.RunsRef+":"+hash[:2]+"/"+hash+".json")
		if err == nil {
			err = json.Unmarshal([]byte(text), &run)
		}
		if err != nil {
			return fmt.Sprintf("run %.8s is not in the ledger: %v", hash, err)
		}
		if run.State != gitops.RunSucceeded || run.Version == "" {
			return fmt.Sprintf("%s is %s (%s), its version %q", run.Name, run.State, run.Message, run.Version)
		}
		if _, err := w.try("git", "rev-parse", "--verify", "davit/train/iris/"+run.Version); err != nil {
			return fmt.Sprintf("%s, made by %s, is not proposed", run.Version, run.Name)
		}
	}
	w.trace.mu.Lock()
	defer w.trace.mu.Unlock()
	for name, uids := range w.trace.made {
		if len(uids) != 1 {
			return fmt.Sprintf("%s was made %d times", name, len(uids))
		}
	}
	if n := len(strings.Fields(w.run("git", "branch", "--format=%(refname)", "--list", "davit/train/*"))); n != len(w.model.runs) || len(w.trace.made) != n {
		return fmt.Sprintf("%d runs, %d made, %d versions proposed", len(w.model.runs), len(w.trace.made), n)
	}
	return ""
}

// noted reads the notes with git.
func (w *crashWorld) noted() string {
	var want, have []string
	for commit, lines := range w.model.notes {
		for _, l := range lines {
			want = append(want, commit[:12]+" "+l)
		}
	}
	for _, entry := range strings.Split(w.run("git", "log", "--notes=davit", "--format=%x00%H%n%N", "main"), "\x00")[1:] {
		commit, lines, _ := strings.Cut(entry, "\n")
		for line := range strings.Lines(lines) {
			var e gitops.Event
			if strings.TrimSpace(line) == "" {
				continue
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				return "a note holds " + line
			}
			have = append(have, strings.Join([]string{commit[:12], e.Release, e.Version, e.Outcome}, " "))
		}
	}
	if why := apart(want, have); why != "" {
		return why
	}
	notes, _ := w.try("git", "rev-parse", gitops.NotesRef)
	if branch, _ := w.try("git", "rev-parse", "refs/heads/"+gitops.OutcomeBranch); branch != notes {
		return fmt.Sprintf("the notes are at %s, the branch at %s", notes, branch)
	}
	return ""
}

func (w *crashWorld) signed() string {
	w.trace.mu.Lock()
	defer w.trace.mu.Unlock()
	if len(w.trace.images) == 0 {
		return "nobody looked at an image"
	}
	for _, key := range slices.Sorted(maps.Keys(w.trace.images)) {
		if err := w.trace.images[key]; err != nil {
			return fmt.Sprintf("%s was applied: %v", key, err)
		}
	}
	return ""
}

// sane has git look at all objects of the repository and of the mirror.
func (w *crashWorld) sane() string {
	for _, dir := range append(w.mirrors(), w.dir) {
		if out, err := w.try("git", "-C", dir, "-c", "safe.directory=*", "fsck", "--no-dangling", "--no-progress"); err != nil {
			return fmt.Sprintf("%s: %v %s", dir, err, out)
		}
	}
	return ""
}
