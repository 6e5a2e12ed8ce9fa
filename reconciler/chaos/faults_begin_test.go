package chaos_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// namesCase is a fault of the DNS server that is asked for the Git server's name.
func namesCase(name string, code dnsmessage.RCode) faultCase {
	return faultCase{
		name: name, at: faultyGit, hits: 2, waits: true,
		met: func(w *faultyWorld) int { return w.names.asked(w.gitName()) },
		begin: func(w *faultyWorld) {
			w.names.answer(w.gitName(), code)
			w.git.Break() // what is connected needs no name
		},
		end: func(w *faultyWorld) { w.names.answer(w.gitName(), dnsmessage.RCodeSuccess) },
	}
}

// rewrite has somebody force-push another history, which begins before what davit followed last.
func rewrite(w *faultyWorld) {
	w.run("git", "branch", "-f", "kept")
	w.run("git", "commit", "-q", "--amend", "-m", "another history")
}

// rewritten is met when davit says so.
func rewritten(w *faultyWorld) int {
	if text, _ := w.behind.Load().(string); strings.Contains(text, "acceptRewrite") {
		return 1
	}
	return 0
}

// restore puts what was promoted meanwhile on top of the history that was followed.
func restore(w *faultyWorld) {
	w.run("git", "branch", "-f", "other")
	w.run("git", "reset", "-q", "--hard", "kept")
	w.run("git", "checkout", "-q", "other", "--", ".")
	w.moved = w.commit("back on what was followed")
}

// huge adds a lot that concerns no release, beside what does.
func huge(w *faultyWorld) {
	for n := range 5000 {
		w.write(fmt.Sprintf("docs/%d/%d.md", n/100, n), fmt.Sprint("page ", n, " of ", w.next, "\n"))
	}
	blob := make([]byte, 16<<20)
	_, _ = rand.Read(blob)
	w.write("docs/picture", string(blob))
}

// ownRegistry gives a world an OCI registry that no other one uses.
func ownRegistry(w *faultyWorld) {
	own, err := devcluster.StartRegistry(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	w.registry, w.registryPID = own.Registry, own.PIDs["registry"]
}

// full has the OCI registry's writes fail, as on a full disk: its files may not grow beyond a few bytes.
func full(w *faultyWorld) { w.limit("100") }

func (w *faultyWorld) limit(bytesOfFiles string) {
	w.t.Helper()
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		w.t.Skip("needs prlimit, of util-linux")
	}
	if out, err := exec.Command(prlimit, "--pid", fmt.Sprint(w.registryPID), "--fsize="+bytesOfFiles+":").CombinedOutput(); err != nil {
		w.t.Fatalf("prlimit: %v: %s", err, bytes.TrimSpace(out))
	}
}

// clockCase has the clock that davit goes by jump, until a promotion is done under it.
func clockCase(name string, by time.Duration) faultCase {
	return faultCase{
		name: name, at: faultyGit, hits: 1,
		begin: func(w *faultyWorld) { w.ahead.Store(int64(by)) },
		end:   func(w *faultyWorld) { w.ahead.Store(0) },
		met: func(w *faultyWorld) int {
			if w.deployments("production")["iris"].Spec.Template.Labels["davit.dev/version"] == fmt.Sprint("f", w.next) {
				return 1
			}
			return 0
		},
	}
}
