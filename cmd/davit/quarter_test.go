package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestQuarter plays a quarter of a year of a release under a bank's policy, its hours shortened to seconds: with the real
// git as the users, a real Gitea as the forge and two controllers. Versions come from a training, go to staging by rule and
// to production by a pull request with evidence and two approvals; one is refused for its metrics; a freeze keeps one back
// while an urgent fix goes through; a new server's rollout stops in its first wave; and a person rolls back.
func TestQuarter(t *testing.T) {
	t.Parallel()
	q := &quarter{life: newLife(t, lifeConfig{prepare: prepareQuarter, sign: (*life).approveFirst, policy: quarterPolicy, crash: `.metadata.labels["crashes"]`})}
	q.until("all are healthy at v1", func() bool {
		return q.healthy("staging", "v1") && q.healthy("production", "v1") && q.is("iris-eu", "Healthy", "v1") && q.is("iris-us", "Healthy", "v1")
	})

	q.january()
	q.february()
	q.march()
	q.wave()
	q.wrong()
	q.account()
}

type quarter struct{ *life }

// quarterReleases are those in production.
var quarterReleases = []string{"iris", "iris-eu", "iris-us"}

// prepareQuarter makes the registry of a bank: three releases in production, v1 of the model with its evidence and
// approvals, and keys for those who approve.
func prepareQuarter(l *life) {
	for _, who := range []string{"ada", "bo", "cy"} {
		l.run("ssh-keygen -q -t ed25519 -N '' -C " + who + " -f $HOME/" + who)
	}
	l.run("mv models/iris/versions/v2.yaml .. && rm models/iris/versions/v3.yaml")
	for _, region := range []string{"eu", "us"} {
		l.run("mkdir releases/iris-" + region + " && cp releases/iris/serving.yaml releases/iris/production.yaml releases/iris-" + region)
	}
	l.append("releases/iris/staging.yaml", "  promote: {from: training/weekly, merge: auto}\n")
	l.append("releases/iris/production.yaml", "  promote: {from: staging, healthyFor: 2s}\n")
	l.append("environments/staging/environment.yaml", "  autoMerge: true\n")
	l.append("environments/production/environment.yaml", `  gates:
    metrics: {accuracy: {maxDropFromServing: 0.01}}
    evidence: [model-card, validation]
    approvals: {owner: 1}
  roles:
    owner: [`+l.key("cy")+`]
    risk: [`+l.key("bo")+`]
    urgent: [`+l.key("ada")+`]
  fleet: {waves: ["1", "100%"], soak: 2s}
`)
	l.evidence("v1")
}

// quarterPolicy is what no file in the repository can lower.
func quarterPolicy(l *life) string {
	return `
    policy:
      gates: {metrics: {accuracy: {min: "0.7"}}, approvals: {risk: 1}}
      roles: {risk: ["` + l.key("bo") + `"]}`
}

// approveFirst has the first versions approved before there is anything to compare with.
func (l *life) approveFirst() {
	for _, release := range quarterReleases {
		l.approve(release, "v1")
	}
}

func (l *life) approve(release, version string) {
	l.t.Helper()
	for who, role := range map[string]string{"bo": "risk", "cy": "owner"} {
		l.run(fmt.Sprintf("davit approve production/%s@%s --as %s --key $HOME/%s", release, version, role, who))
	}
}

// key is somebody's public key.
func (l *life) key(who string) string { return strings.TrimSpace(l.run("cat $HOME/" + who + ".pub")) }

func (l *life) append(name, text string) {
	l.t.Helper()
	f, err := os.OpenFile(filepath.Join(l.dir, name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

// evidence writes what must speak for a version.
func (l *life) evidence(version string) {
	dir := "models/iris/evidence/" + version
	l.run("mkdir -p " + dir + " && echo 'Three species, four measurements.' > " + dir + "/model-card.md && echo '{\"passed\": true}' > " + dir + "/validation.json")
}

// trained merges a version as a training proposes it.
func (q *quarter) trained(version string, accuracy float64) {
	q.t.Helper()
	q.run("git switch -q main && git pull -q && git switch -q -c trained-" + version)
	q.run(fmt.Sprintf("cp ../v2.yaml models/iris/versions/%s.yaml && sed -i 's/accuracy: .*/accuracy: %g}\\n  lineage: {trainedBy: weekly}/' models/iris/versions/%s.yaml", version, accuracy, version))
	q.run("git add -A && git commit -qm 'iris " + version + ", by training weekly' && git push -q origin trained-" + version)
	q.merge(q.open("trained-"+version, "iris "+version))
	q.run("git switch -q main && git pull -q")
}

// open has Ada open a pull request.
func (q *quarter) open(branch, title string) int {
	q.t.Helper()
	var pr struct{ Number int }
	q.as("ada", http.MethodPost, "/repos"+lifeRepository+"/pulls", map[string]any{"head": branch, "base": "main", "title": title}, &pr)
	return pr.Number
}

// proposed waits for the rolling pull request to be about a version.
func (q *quarter) proposed(version string) (number int, body string) {
	q.t.Helper()
	q.until("a pull request proposes "+version, func() bool {
		pr := q.opened("davit/promote/production/iris")
		number, body = pr.Number, pr.Body
		return strings.Contains(pr.Title, version)
	})
	return number, body
}

// opened is the open pull request of a branch that begins so; the zero value when there is none.
func (q *quarter) opened(branch string) (pr openPull) {
	var open []openPull
	q.api(http.MethodGet, "/repos"+lifeRepository+"/pulls?state=open", nil, &open)
	for _, p := range open {
		if strings.HasPrefix(p.Head.Ref, branch) {
			pr = p
		}
	}
	return pr
}

type openPull struct {
	Number      int
	Title, Body string
	Head        struct{ Ref string }
}

// reviewed adds evidence and approvals on the branch of the pull request, and merges it squashed.
func (q *quarter) reviewed(version string, number int) {
	q.t.Helper()
	q.run("git fetch -q && git switch -q -C review origin/davit/promote/production/iris")
	q.fails("davit validate --base origin/main", "approvals/owner")
	q.evidence(version)
	q.run("git add -A && git commit -qm 'Evidence for iris " + version + "'")
	q.approve("iris", version)
	q.run("davit validate --base origin/main && git push -q origin review:davit/promote/production/iris && git switch -q main")
	q.squash(number)
	q.run("git pull -q")
}

func (q *quarter) squash(number int) {
	q.t.Helper()
	q.until("it can be merged", func() bool { return q.pull(number).Mergeable })
	q.mergeBy("squash", number)
}

// fails runs a command that must fail and say something.
func (q *quarter) fails(command, says string) {
	q.t.Helper()
	out := q.run("! { " + command + " 2>&1; }")
	if !strings.Contains(out, says) {
		q.t.Errorf("%s does not say %q:\n%s", command, says, out)
	}
}

// is says how a release in production stands.
func (q *quarter) is(release, phase, version string) bool {
	return q.run("kubectl -n production get modelrelease production."+release+" --ignore-not-found -o jsonpath='{.status.phase}/{.status.applied.version}'") == phase+"/"+version
}

func (q *quarter) reason(release string) string {
	return q.run("kubectl -n production get modelrelease production." + release + " -o jsonpath='{.status.reason}: {.status.message}'")
}

// january: a version comes from a training, goes to staging by rule, and is reviewed for production.
func (q *quarter) january() {
	q.trained("v2", 0.96)
	q.until("v2 is in staging", func() bool { return q.healthy("staging", "v2") })
	number, body := q.proposed("v2")
	for _, want := range []string{"| accuracy | 0.72 | 0.96 |", "approvals/risk", "approvals/owner", "evidence/validation"} {
		if !strings.Contains(body, want) {
			q.t.Errorf("the pull request of v2 does not tell %q:\n%s", want, body)
		}
	}
	q.reviewed("v2", number)
	q.until("v2 is in production", func() bool { return q.healthy("production", "v2") })
	q.until("the branch is gone", func() bool { return q.run("git ls-remote origin davit/promote/production/iris") == "" })
}

// february: a version is worse than what is served; who merges it all the same changes nothing. The pull request follows
// the next one.
func (q *quarter) february() {
	q.trained("v4", 0.9)
	q.until("v4 is in staging", func() bool { return q.healthy("staging", "v4") })
	number, body := q.proposed("v4")
	if !strings.Contains(body, "0.06 less than the 0.96 of v2") {
		q.t.Errorf("the pull request does not tell that v4 is worse:\n%s", body)
	}
	q.run("git fetch -q && git switch -q -C review origin/davit/promote/production/iris")
	q.fails("davit validate --base origin/main", "0.06 less than the 0.96 of v2")
	q.say("The pull request for v4 is red: it is worse than what is served.")
	q.show("davit validate --base origin/main || true")
	q.run("git switch -q main")

	q.trained("v5", 0.97)
	q.until("v5 is in staging", func() bool { return q.healthy("staging", "v5") })
	if again, _ := q.proposed("v5"); again != number {
		q.t.Errorf("v5 has a pull request of its own, %d beside %d", again, number)
	}
}

// march: production is frozen. What is merged waits; what is urgent, and signed by who may say so, does not.
func (q *quarter) march() {
	q.run("git pull -q")
	q.append("environments/production/environment.yaml", "  freeze: [{name: quarter-end, from: 2026-01-01T00:00:00Z, until: 2099-01-01T00:00:00Z, reason: the books are closed}]\n")
	q.run("git commit -qam 'Freeze production for the end of the quarter' && git push -q origin main")
	number, _ := q.proposed("v5")
	q.reviewed("v5", number)
	q.until("v5 waits for the freeze", func() bool { return strings.HasPrefix(q.reason("iris"), "Frozen: ") })
	if why := q.reason("iris"); !q.is("iris", "Waiting", "v2") || !strings.Contains(why, "quarter-end") || !strings.Contains(why, "2099-01-01") {
		q.t.Errorf("iris is %s", why)
	}

	q.until("nothing is proposed", func() bool { return q.field("production", ".status.promotion.version") == "" })
	q.say("Production is frozen. v5 was reviewed and merged all the same, and waits:")
	q.show("davit status production/iris")

	q.edit("releases/iris-eu/serving.yaml", "args: {model-name: iris}", "args: {model-name: iris, max-body: 1024}")
	q.run("git -c gpg.format=ssh -c user.signingkey=$HOME/ada commit -q -S -am 'Bound the request size\n\nDavit-Urgent: CVE-2026-0001' && git push -q origin main")
	q.until("the urgent fix is through", func() bool {
		return strings.Contains(q.run("kubectl -n production get deployment iris-eu -o jsonpath='{.spec.template.spec.containers[*].args}'"), "max-body")
	})
	if !q.is("iris", "Waiting", "v2") {
		q.t.Errorf("iris went with the urgent fix: %s", q.reason("iris"))
	}
	q.run("sed -i '/^  freeze:/d' environments/production/environment.yaml && git commit -qam 'The books are open again' && git push -q origin main")
	q.until("v5 is in production", func() bool { return q.healthy("production", "v5") })
}

// wave: a new server fails in the first wave, and the others never see it. The next one is a security fix: it does not soak.
func (q *quarter) wave() {
	q.server("0.2.0", "\n        crashes: \"yes\"", "")
	failed := func(n int) bool {
		return len(strings.Fields(q.run("kubectl -n production get modelreleases -o jsonpath='{.items[?(@.status.held.commit)].metadata.name}'"))) == n
	}
	q.until("the first has failed", func() bool { return failed(1) })
	var undo int
	q.until("it is proposed to take the server back", func() bool {
		undo = q.opened("davit/revert/production/_").Number
		return undo > 0
	})
	left := q.run("davit find --runtime iris-server@0.1.0 --env production --live")
	for _, release := range quarterReleases {
		if !strings.Contains(left, release) {
			q.t.Errorf("%s is not told to be left at 0.1.0:\n%s", release, left)
		}
	}
	q.merge(undo)
	q.run("git pull -q")
	q.until("nothing is held", func() bool { return failed(0) })
	q.server("0.2.1", "", "\n\nDavit-Soak: 0s")
	for _, release := range quarterReleases {
		q.until(release+" has the new server", func() bool {
			return strings.Contains(q.run("kubectl -n production get deployment "+release+" -o jsonpath='{.spec.template.metadata.labels}'"), "0.2.1")
		})
	}
}

// server has another version of the server in production.
func (q *quarter) server(version, label, trailers string) {
	dir := "runtimes/iris-server/" + version
	q.run("cp -r runtimes/iris-server/0.1.0 " + dir)
	const labels = "        app.kubernetes.io/name: runtime\n    spec:"
	q.edit(dir+"/deployment.yaml", labels, strings.Replace(labels, "\n", "\n        app.kubernetes.io/version: "+version+label+"\n", 1))
	q.edit("environments/production/environment.yaml", q.serverNow(), "iris-server: "+version)
	q.run("git add -A && git -c gpg.format=ssh -c user.signingkey=$HOME/ada commit -q -S -m 'iris-server " + version + " in production" + trailers + "' && git push -q origin main")
}

func (q *quarter) serverNow() string {
	return strings.TrimSpace(q.run("grep -o 'iris-server: [0-9.]*' environments/production/environment.yaml"))
}

// wrong: v5 is healthy and wrong.
func (q *quarter) wrong() {
	q.run(`davit rollback production/iris --reason "calls every flower setosa" --forge Gitea`)
	q.until("v2 serves", func() bool { return q.is("iris", "Healthy", "v2") })
	var revert int
	q.until("the revert is proposed", func() bool {
		revert = q.opened("davit/rollback/production/iris").Number
		return revert > 0
	})
	q.merge(revert)
	q.until("the pin has ended", func() bool { return !q.pinned("production") && q.healthy("production", "v2") })
}

// account: the history tells it all, and nobody proposes v5 again.
func (q *quarter) account() {
	q.run("davit init .")
	told := map[string]string{}
	for began := time.Now(); time.Since(began) < 2*time.Minute && (told["staging/iris"] == "" || q.missing(told) != nil); {
		q.run("git fetch -q && git pull -q")
		for release := range quarterAccount {
			told[release] = q.run("davit history " + release)
		}
	}
	for _, line := range q.missing(told) {
		q.t.Errorf("the history does not tell %s", line)
	}
	if q.t.Failed() {
		for _, text := range told {
			q.t.Log(text)
		}
	}
	if pr := q.opened("davit/promote/production/iris"); pr.Number > 0 {
		q.t.Errorf("it is proposed again: %s", pr.Title)
	}
	q.say("At the end of the quarter, all of it is in Git:")
	q.show("davit history production/iris")
	q.show("davit history staging/iris -n 1")
	q.page("quarter")
}

// quarterAccount is what the history must tell, by release: patterns of its lines, from new to old.
var quarterAccount = map[string][]string{
	"production/iris": {
		`v5 → v2 \(accuracy 0.97 → 0.96\) +Healthy`,
		`Ada.* v5 +pinned away \(calls every flower setosa\)`,
		`approved by cy \(owner\), bo \(risk\) .*v2 → v5 .*Healthy, waited \(Frozen\)`,
		`davit, merged by Ada, #9 .* v5 +Healthy`,
		`RolledBack \(CrashLoop\) .*iris-server 0.2.0 in production`,
		`approved by cy \(owner\), bo \(risk\) .*v1 → v2`,
	},
	"production/iris-eu": {`Healthy \(Urgent\)`},
	"staging/iris":       {`davit, by rule from training/weekly, .*v4 → v5`},
}

// missing lists what the history does not tell.
func (q *quarter) missing(told map[string]string) (lines []string) {
	for release, patterns := range quarterAccount {
		for _, p := range patterns {
			if !regexp.MustCompile(p).MatchString(told[release]) {
				lines = append(lines, release+": "+p)
			}
		}
	}
	return lines
}
