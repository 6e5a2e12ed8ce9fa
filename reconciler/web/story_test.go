package web_test

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/web"
	"github.com/davit-dev/davit/registry"
)

// asked does what the page is asked for by the world's own loop, as davit does.
type asked struct{ *world }

func by(u web.User) reconciler.Asker { return reconciler.Asker{Name: u.Name, Email: u.Email} }

func (a asked) Promote(ctx context.Context, u web.User, _ string, to registry.Key, from, reason string) (string, error) {
	return a.loop.Promote(ctx, by(u), registry.Key{Environment: from, Name: to.Name}, to, reason)
}

func (a asked) Rollback(ctx context.Context, u web.User, _ string, key registry.Key, version, reason string) (string, error) {
	return a.loop.GoBack(ctx, by(u), key, version, reason)
}

func (a asked) Suspend(ctx context.Context, u web.User, _ string, key registry.Key, span time.Duration, reason string) error {
	return a.loop.Suspend(ctx, by(u), key, span, reason)
}

func (a asked) Resume(ctx context.Context, u web.User, _ string, key registry.Key) error {
	return a.loop.Resume(ctx, by(u), key)
}

// story is a registry of iris at v1 in two environments of its own.
func (w *world) story() {
	w.t.Helper()
	w.iris("story")
	w.git("init", "-q", "-b", "main")
	w.git("add", "-A")
	w.git("commit", "-q", "-m", "iris at v1")
}

// replaced has a release's pod replaced, which changes nothing of the release, and waits until the page shows the new one.
func (w *world) replaced(namespace string, b *browser) {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	pods := kubernetes.NewForConfigOrDie(config).CoreV1().Pods(namespace)
	was, err := pods.List(w.t.Context(), metav1.ListOptions{})
	if err != nil || len(was.Items) != 1 {
		w.t.Fatal(err, was)
	}
	old := was.Items[0].Name
	b.sees("#pods", old)
	if err := pods.Delete(w.t.Context(), old, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.until("another pod serves", func() bool {
		now, err := pods.List(w.t.Context(), metav1.ListOptions{})
		return err == nil && len(now.Items) == 1 && now.Items[0].Name != old && now.Items[0].Status.Phase == "Running"
	})
	now, err := pods.List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	b.sees("#pods", now.Items[0].Name)
}

// sees waits until the page, which nobody reloads, shows a text in a block. While it goes over to another page nothing is there.
func (b *browser) sees(selector, text string) {
	b.t.Helper()
	look := "[...document.querySelectorAll(`" + selector + "`)].some((e) => e.textContent.includes(`" + text + "`))"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var seen bool
		if err := chromedp.Run(b.ctx, chromedp.Evaluate(look, &seen)); err == nil && seen {
			return
		}
		if time.Now().After(deadline) {
			var shown string
			b.do(chromedp.Text("main", &shown))
			b.picture("failed")
			b.t.Fatalf("%s does not come to show %q:\n%s", selector, text, shown)
		}
	}
}

// TestStory goes through a model's life as a person sees it in a browser, and does it: a promotion that is asked for on the
// page, one that fails and is rolled back, its revert, and the way back to the version before. The pages show each step by
// themselves. DAVIT_SCREENSHOTS names a folder that keeps pictures.
func TestStory(t *testing.T) {
	w := &world{t: t, notes: true}
	w.begin(w.story, "story", web.Config{Actions: asked{w}, Local: web.User{Name: "Ada", Email: "ada@example.com"}})
	w.until("iris is healthy in both", func() bool {
		r := w.data.Releases(fleet.Viewer{}, name, fleet.Query{State: string(fleet.Well)})
		return r != nil && r.States[5].Count == 2
	})
	b := open(t)
	at := func(path, whole string) {
		t.Helper()
		b.at(w.url+"/"+name+path, "light", 1400, whole)
	}

	at("", "table.fleet td.healthy")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.git("commit", "-qam", "iris v2 to staging")
	b.sees("td[data-key='staging/iris']", "v2")
	b.sees("td[data-key='production/iris'] .offer", "v2 from staging")
	b.picture("story-1-offered")

	at("/releases/production/iris", "form[action$='/promote']")
	b.do(
		chromedp.SendKeys("form[action$='/promote'] [name=reason]", "it is better at <b>versicolor</b>", chromedp.ByQuery),
		chromedp.Click("form[action$='/promote'] button", chromedp.ByQuery),
	)
	b.sees("main [role=status]", "Proposed: davit/asked/production/iris")
	b.picture("story-2-proposed")
	at("/releases/production/iris", "h1 .tag.healthy")
	w.git("merge", "-q", "--no-ff", "-m", "Merge the promotion of iris to v2", "davit/asked/production/iris")
	b.sees("#revisions", "Merge the promotion of iris to v2")
	w.until("v2 is healthy in production", func() bool {
		r := w.data.Releases(fleet.Viewer{}, name, fleet.Query{Environment: "production", State: string(fleet.Well)})
		return r != nil && r.Found == 1 && r.Lines[0].Cells[0].Version == "v2"
	})
	b.sees("#head .tag", "healthy")
	b.picture("story-3-promoted")

	w.edit("releases/iris/production.yaml", "version: v2", "version: v3")
	w.git("commit", "-qam", "iris v3 to production")
	b.sees("#findings", "CrashLoop")
	b.sees("#head .tag", "stopped")
	b.sees("#revisions", "davit/revert/production/iris")
	b.picture("story-4-rolled-back")
	at("/timeline", "svg.strip")
	b.sees("table.timeline li.stopped .word", "RolledBack") // as noted in Git: a revert that is merged before ends the way back
	at("/releases/production/iris", "h1 .tag.stopped")

	w.git("merge", "-q", "--no-ff", "-m", "Merge the revert of iris", "davit/revert/production/iris")
	b.sees("#head .tag", "healthy")
	b.picture("story-5-reverted")

	// Pages of a release and a model go with what happens to it elsewhere, without a commit.
	elsewhere, ada := registry.Key{Environment: "staging", Name: "iris"}, reconciler.Asker{Name: "Ada"}
	stops := func() {
		t.Helper()
		if err := w.loop.Suspend(t.Context(), ada, elsewhere, 0, "a look"); err != nil {
			t.Fatal(err)
		}
	}
	goesOn := func() {
		t.Helper()
		if err := w.loop.Resume(t.Context(), ada, elsewhere); err != nil {
			t.Fatal(err)
		}
	}
	stops()
	b.sees(".places a[href$='/staging/iris']", "manual: staging")
	at("/models/iris", "#serves li")
	b.sees("#serves li.manual", "staging")
	goesOn()
	b.sees("#serves li.healthy", "staging")
	at("/releases/production/iris", "h1 .tag.healthy")

	b.sees("form[action$='/rollback'] option", "v1") // the form goes with what it is about
	b.do(
		chromedp.SetValue("form[action$='/rollback'] [name=version]", "v1", chromedp.ByQuery),
		chromedp.SendKeys("form[action$='/rollback'] [name=reason]", "calls every flower setosa", chromedp.ByQuery),
		chromedp.Click("form[action$='/rollback'] button", chromedp.ByQuery),
	)
	b.sees("main [role=status]", "Proposed: davit/rollback/production/iris")
	at("/timeline", "svg.strip")
	w.git("merge", "-q", "--no-ff", "-m", "Merge the way back to v1", "davit/rollback/production/iris")
	b.sees("table.timeline", "Merge the way back to v1")
	b.sees("table.timeline li.stopped .word", "RolledBack")
	b.sees("table.timeline li.healthy .word", "Healthy")
	b.sees("svg.strip .bar", "")
	b.picture("story-6-timeline")
	at("/releases/production/iris", "h1 .tag.healthy")
	b.sees("#revisions", "v1")
	w.replaced("story-production", b)

	b.do(chromedp.Click("form[action$='/suspend'] button", chromedp.ByQuery))
	b.sees("main [role=status]", "Suspended.")
	at("/releases/production/iris", "form[action$='/resume']")
	b.sees("#head .tag", "manual")
	b.picture("story-7-suspended")
	b.do( // without script, too
		emulation.SetScriptExecutionDisabled(true), chromedp.Reload(),
		chromedp.Click("form[action$='/resume'] button", chromedp.ByQuery),
	)
	b.sees("main [role=status]", "Resumed.")
}
