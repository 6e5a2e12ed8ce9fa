package status

import (
	"cmp"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

const healthyCommit, badCommit = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"

// modelRelease is production/iris, healthy at v1, in a phase.
func modelRelease(phase v1alpha1.Phase, reason, message string) *v1alpha1.ModelRelease {
	at := v1alpha1.Revision{Commit: healthyCommit, Version: "v1", ObjectsHash: "a", Image: "images/iris@sha256:" + strings.Repeat("0", 64)}
	mr := &v1alpha1.ModelRelease{Spec: v1alpha1.ModelReleaseSpec{Environment: "production", Release: "iris", Owner: "davit/models"}}
	mr.Name, mr.Namespace = "production.iris", "prod"
	mr.Status = v1alpha1.ModelReleaseStatus{Applied: at, Healthy: at, Phase: phase, Reason: reason, Message: message}
	return mr
}

func held(mr *v1alpha1.ModelRelease, reason string) *v1alpha1.ModelRelease {
	mr.Status.Held = &v1alpha1.HeldRevision{Commit: badCommit, Version: "v2", Reason: reason}
	return mr
}

// pinnedRelease is healthy and was pinned, to a commit.
func pinnedRelease(reason, message, to string) *v1alpha1.ModelRelease {
	mr := modelRelease(v1alpha1.Healthy, reason, message)
	mr.Spec.Pin = &v1alpha1.Pin{Commit: healthyCommit, By: "ada", Reason: "wrong answers", At: metav1.NewMicroTime(clock("2026-01-02 10:00:00").Time)}
	mr.Status.Pinned = to
	return mr
}

func clock(what string) *metav1.Time {
	t, err := time.ParseInLocation(time.DateTime, what, time.Local)
	if err != nil {
		panic(err)
	}
	return &metav1.Time{Time: t}
}

// TestFindings holds what is said of each state, and the command that leads out of it.
func TestFindings(t *testing.T) {
	now := clock("2026-01-02 12:00:00").Time
	ofRegistry := func(condition metav1.Condition, rollouts ...v1alpha1.Rollout) *v1alpha1.ModelRegistry {
		mr := &v1alpha1.ModelRegistry{ObjectMeta: metav1.ObjectMeta{Namespace: "davit", Name: "models"}}
		condition.Type, condition.Status = cmp.Or(condition.Type, v1alpha1.ConditionReady), metav1.ConditionFalse
		if condition.Reason != "" {
			mr.Status.Conditions = append(mr.Status.Conditions, condition)
		}
		mr.Status.Rollouts = rollouts
		return mr
	}
	for name, c := range map[string]struct {
		mr   *v1alpha1.ModelRelease
		s    situation
		want string // "rank what: text $ command $ command", one line for each finding
	}{
		"healthy": {mr: modelRelease(v1alpha1.Healthy, "Healthy", "")},
		"rolled back": {
			mr: held(modelRelease(v1alpha1.RolledBack, "RolledBack", "v2 failed (CrashLoop: it ended); back at v1"), "CrashLoop: it ended"),
			want: "1 held: v2 at 222222222222: CrashLoop: it ended. v1 goes on. It ends with the next commit that changes the release's own files; resume tries the same again." +
				" $ git revert 222222222222 $ davit resume production/iris",
		},
		"rolled back from a merge": {
			mr: held(modelRelease(v1alpha1.RolledBack, "RolledBack", ""), "x"), s: situation{merge: true},
			want: "1 held: v2 at 222222222222: x. v1 goes on. It ends with the next commit that changes the release's own files; resume tries the same again." +
				" $ git revert -m 1 222222222222 $ davit resume production/iris",
		},
		"held, with a proposal": {
			mr: held(modelRelease(v1alpha1.Held, "RenderFailed", "v2 is held: no; v1 goes on serving"), "RenderFailed: no"),
			s:  situation{merge: true, proposal: "origin/davit/revert/production/iris"},
			want: "1 cause: Its files can't be rendered. $ davit render production/iris --offline\n" +
				"1 held: v2 at 222222222222: RenderFailed: no. v1 goes on. It ends with the next commit that changes the release's own files; resume tries the same again." +
				" $ git merge origin/davit/revert/production/iris $ davit resume production/iris",
		},
		"held, with a pull request": {
			mr: func() *v1alpha1.ModelRelease {
				mr := held(modelRelease(v1alpha1.RolledBack, "RolledBack", "v2 failed (CrashLoop: it ended); back at v1"), "CrashLoop: it ended")
				mr.Status.Held.Proposal = "https://git.example.com/ml/models/pulls/3"
				return mr
			}(),
			s: situation{merge: true, proposal: "origin/davit/revert/production/iris"},
			want: "1 held: v2 at 222222222222: CrashLoop: it ended. v1 goes on. It ends with the next commit that changes the release's own files; resume tries the same again." +
				" Its revert is proposed: https://git.example.com/ml/models/pulls/3. $ davit resume production/iris",
		},
		"outcomes that do not reach Git": {
			mr: modelRelease(v1alpha1.Healthy, "Healthy", ""),
			s:  situation{registry: ofRegistry(metav1.Condition{Type: v1alpha1.ConditionRecorded, Reason: "Degraded", Message: "degraded: 2 outcomes wait: no"})},
			want: "2 outcomes: Outcomes do not reach Git: degraded: 2 outcomes wait: no. Each release keeps its last five until they do. Give davit's credentials the right to push" +
				" refs/notes/davit and davit/*, or say outcomes: Cluster in the ModelRegistry.",
		},
		"a first release that failed": {
			mr: func() *v1alpha1.ModelRelease {
				mr := held(modelRelease(v1alpha1.Failed, "CrashLoop", "it ended"), "CrashLoop: it ended")
				mr.Status.Healthy = v1alpha1.Revision{}
				return mr
			}(),
			want: "0 cause: Its containers ended three times. $ kubectl -n prod logs -l davit.dev/release=iris --all-containers --tail 20 --previous\n" +
				"1 held: v2 at 222222222222: CrashLoop: it ended. Nothing was healthy before it, so there is nothing to go back to." +
				" It ends with the next commit that changes the release's own files; resume tries the same again. $ git revert 222222222222 $ davit resume production/iris",
		},
		"the way back failed": {
			mr: held(modelRelease(v1alpha1.Failed, "RollbackFailed", "CrashLoop: it ended, too"), "CrashLoop: it ended"),
			want: "0 failed: RollbackFailed: CrashLoop: it ended, too. Going back failed, too, and nothing goes on by itself. Try again when the cause is gone." +
				" $ davit retry production/iris $ kubectl -n prod logs -l davit.dev/release=iris --all-containers --tail 20 --previous\n" +
				"1 held: v2 at 222222222222: CrashLoop: it ended. v1 was healthy before. It ends with the next commit that changes the release's own files; resume tries the same again." +
				" $ git revert 222222222222 $ davit resume production/iris",
		},
		"rewritten": {
			mr:   modelRelease(v1alpha1.Waiting, "HistoryRewritten", "commit a is older than b"),
			want: "1 waiting: HistoryRewritten: commit a is older than b. The branch went back behind what is applied. Accept that if it is meant; otherwise put the branch back, and go back with git revert. $ davit sync --accept-rewrite",
		},
		"rewritten, by a controller": {
			mr: modelRelease(v1alpha1.Waiting, "HistoryRewritten", "commit a is older than b"), s: situation{tip: badCommit, registry: ofRegistry(metav1.Condition{})},
			want: "1 waiting: HistoryRewritten: commit a is older than b. The branch went back behind what is applied. Accept that if it is meant; otherwise put the branch back, and go back with git revert." +
				` $ kubectl -n davit patch modelregistry models --type merge -p '{"spec":{"acceptRewrite":"` + badCommit + `"}}'`,
		},
		"somebody else's object": {
			mr:   modelRelease(v1alpha1.Waiting, "Conflict", "Service/iris is managed by helm; davit sync --adopt takes it over"),
			want: "1 waiting: Conflict: Service/iris is managed by helm; davit sync --adopt takes it over. Somebody else has an object of that name. Delete or rename it, or take it over where the message says so; then try again. $ davit retry production/iris $ davit sync --adopt",
		},
		"depends on another": {
			mr:   modelRelease(v1alpha1.Waiting, "DependsOn", "depends on production/embedder, which is held"),
			want: "3 waiting: DependsOn: depends on production/embedder, which is held. It goes on when that release is healthy. $ davit status production/embedder",
		},
		"not granted": {
			mr: modelRelease(v1alpha1.Waiting, "NotGranted", "no"), s: situation{registry: ofRegistry(metav1.Condition{})},
			want: "1 waiting: NotGranted: no. The ModelRegistry does not grant that. Who runs davit can. $ kubectl -n davit edit modelregistry models",
		},
		"no room": {
			mr:   modelRelease(v1alpha1.Waiting, "Unschedulable", "pod iris-1 is not scheduled"),
			want: "3 waiting: Unschedulable: pod iris-1 is not scheduled. No node has room, or the device. It goes on when one has. $ davit plan production/iris --server $ kubectl -n prod describe pods -l davit.dev/release=iris",
		},
		"a reason of Kubernetes' own": {
			mr:   modelRelease(v1alpha1.Waiting, "SomethingNew", "what"),
			want: "3 waiting: SomethingNew: what. The cause is not in the revision, so nothing is rolled back. It goes on when the cause is gone. $ kubectl -n prod describe pods -l davit.dev/release=iris",
		},
		"ill after it was healthy": {
			mr:   modelRelease(v1alpha1.Waiting, "CrashLoop", "it ended"),
			want: "1 waiting: CrashLoop: it ended. Its containers ended three times. It was healthy before, so this is not taken for the revision's fault. $ kubectl -n prod logs -l davit.dev/release=iris --all-containers --tail 20 --previous",
		},
		"claimed": {
			mr: func() *v1alpha1.ModelRelease {
				mr := modelRelease(v1alpha1.Healthy, "Healthy", "")
				mr.Spec.Claim = v1alpha1.Claim{Token: 7, Version: "v2"}
				return mr
			}(),
			want: "3 progressing: Applied. Its objects are applied.",
		},
		"a canary": {
			mr: func() *v1alpha1.ModelRelease {
				mr := modelRelease(v1alpha1.Progressing, "Canary", "step 1 of 2: v2 has 10% of the traffic for 1m0s")
				mr.Status.Applied.Version = "v2"
				mr.Status.Traffic = &v1alpha1.Traffic{Serving: "bbb", Next: "ccc", Step: 1, Weight: 10, Since: *clock("2026-01-02 11:59:00")}
				return mr
			}(),
			want: "3 progressing: Canary: step 1 of 2: v2 has 10% of the traffic for 1m0s. It gets more of the traffic step by step.\n" +
				"3 traffic: v2 (ccc) has 10% of the traffic, step 1 since 2026-01-02 11:59:00; v1 (bbb) has the rest.",
		},
		"blue and green": {
			mr: func() *v1alpha1.ModelRelease {
				mr := modelRelease(v1alpha1.Progressing, "RollingOut", "")
				mr.Status.Applied.Version = "v2"
				mr.Status.Traffic = &v1alpha1.Traffic{Serving: "bbb", Next: "ccc"}
				return mr
			}(),
			want: "3 progressing: RollingOut. Its pods are being replaced.\n3 traffic: v2 (ccc) has none yet; v1 (bbb) has it all.",
		},
		"kept": {
			mr: func() *v1alpha1.ModelRelease {
				mr := modelRelease(v1alpha1.Healthy, "Healthy", "")
				mr.Status.Traffic = &v1alpha1.Traffic{Serving: "ccc", Kept: "bbb", KeptUntil: *clock("2026-01-02 12:09:00")}
				return mr
			}(),
			want: "4 kept: the workload before, bbb, runs on until 2026-01-02 12:09:00: going back takes seconds.",
		},
		"pinned and suspended": {
			mr: func() *v1alpha1.ModelRelease {
				mr := modelRelease(v1alpha1.Healthy, "Healthy", "")
				mr.Spec.Pin = &v1alpha1.Pin{Commit: healthyCommit, Version: "v1", Tip: badCommit, By: "ada", Reason: "wrong answers", At: metav1.NewMicroTime(clock("2026-01-02 10:00:00").Time)}
				mr.Status.Pinned = "v1 at 111111111111"
				mr.Spec.Suspend = &v1alpha1.Suspend{By: "grace", Reason: "the fair", Until: clock("2026-01-02 18:00:00")}
				return mr
			}(),
			want: "2 pinned: to v1 by ada, otherwise as at 111111111111, since 2026-01-02 10:00:00. wrong answers. It ends with the next commit that changes the release's own files after 222222222222, or by hand. $ davit resume production/iris\n" +
				"2 suspended: by grace until 2026-01-02 18:00:00. the fair. Nothing is applied, corrected, rolled back or deleted meanwhile. $ davit resume production/iris",
		},
		"pinned to a commit": {
			mr: pinnedRelease("Pinned", "pinned to v1 at 111111111111", "v1 at 111111111111"),
			want: "2 pinned: to v1 at 111111111111 by ada, since 2026-01-02 10:00:00. wrong answers. It ends with the next commit that changes the release's own files, or by hand." +
				" $ davit resume production/iris",
		},
		"a pin that nobody followed": {
			mr: func() *v1alpha1.ModelRelease {
				mr := pinnedRelease("Healthy", "", "v1 at 111111111111") // an earlier pin's
				mr.Generation = 2
				mr.Status.ObservedGeneration = 1
				return mr
			}(),
			want: "2 pinned: by ada at 111111111111, since 2026-01-02 10:00:00. wrong answers. It is not taken up yet: that does the controller, or davit sync." +
				" It ends with the next commit that changes the release's own files, or by hand. $ davit resume production/iris",
		},
		"a pin that is refused": {
			mr: pinnedRelease("PinRefused", "can't be pinned to v1 at 111111111111: no; nothing changes until davit resume production/iris ends the pin", "v1 at 111111111111"),
			want: "1 refused: It can't be pinned to v1 at 111111111111: no; nothing changes until davit resume production/iris ends the pin. $ davit resume production/iris\n" +
				"2 pinned: to v1 at 111111111111 by ada, since 2026-01-02 10:00:00. wrong answers. It ends with the next commit that changes the release's own files, or by hand. $ davit resume production/iris",
		},
		"a suspension that is over": {
			mr: func() *v1alpha1.ModelRelease {
				mr := modelRelease(v1alpha1.Healthy, "Healthy", "")
				mr.Spec.Suspend = &v1alpha1.Suspend{Until: clock("2026-01-02 11:00:00")}
				return mr
			}(),
		},
		"drift": {
			mr: func() *v1alpha1.ModelRelease {
				mr := modelRelease(v1alpha1.Healthy, "Healthy", "")
				mr.Status.Drift = []string{"Deployment.apps/iris: .spec.replicas is 3, not 1 (by kubectl)"}
				return mr
			}(),
			want: "2 drift: Deployment.apps/iris: .spec.replicas is 3, not 1 (by kubectl). The environment only reports it; a retry puts it back. $ davit drift production/iris $ davit retry production/iris",
		},
		"a gate that time opens": {
			mr: modelRelease(v1alpha1.Waiting, "GateClosed", "iris@v2 has been healthy in staging for 1m0s of 24h0m0s; wait until 2026-01-03T10:00:00Z"),
			want: "3 waiting: GateClosed: iris@v2 has been healthy in staging for 1m0s of 24h0m0s; wait until 2026-01-03T10:00:00Z." +
				" The version is not promoted before all its gates are open; what is applied goes on. Going back passes every gate. $ davit plan production/iris",
		},
		"an approval that is missing": {
			mr: modelRelease(v1alpha1.Waiting, "GateClosed", "iris@v2 needs 1 approval in role risk and has none; davit approve production/iris@v2 --as risk; not counted: x"),
			want: "1 waiting: GateClosed: iris@v2 needs 1 approval in role risk and has none; davit approve production/iris@v2 --as risk; not counted: x." +
				" The version is not promoted before all its gates are open; what is applied goes on. Going back passes every gate." +
				" $ davit approve production/iris@v2 --as risk $ davit plan production/iris",
		},
		"frozen": {
			mr: modelRelease(v1alpha1.Waiting, "Frozen", `freeze "audit" (books are closed): nothing new is applied to production until 2026-01-03T10:00:00Z`),
			want: `3 waiting: Frozen: freeze "audit" (books are closed): nothing new is applied to production until 2026-01-03T10:00:00Z.` +
				" What is applied goes on, and is corrected. Afterwards it goes on by itself. Rollbacks pass, and so does the git revert of what was healthy here before." +
				" $ git commit -S --trailer 'Davit-Urgent: REASON' $ davit rollback production/iris --reason TEXT",
		},
		"a quota": {
			mr: modelRelease(v1alpha1.Waiting, "QuotaExceeded", "environment production may have 4 GPUs: 4 are in use or promised, and iris asks for 2"),
			want: "1 waiting: QuotaExceeded: environment production may have 4 GPUs: 4 are in use or promised, and iris asks for 2." +
				" It would have more GPUs than there are for it. It goes on when others give some back, or the quota is raised. $ davit status production",
		},
		"a shared change that asks to soak for less": {
			mr: modelRelease(v1alpha1.Healthy, "Healthy", ""),
			s: situation{behind: true, registry: ofRegistry(metav1.Condition{}, v1alpha1.Rollout{
				Environment: "production", Commit: badCommit, Wave: 1, Waves: 3, Begun: 1, Releases: 9, Soak: "Davit-Soak is not heeded: no key has the role urgent"})},
			want: "3 its turn: shared change 222222222222, wave 1 of 3, 1 of 9 releases begun; soak: Davit-Soak is not heeded: no key has the role urgent.",
		},
		"its wave has not come": {
			mr: modelRelease(v1alpha1.Healthy, "Healthy", ""),
			s: situation{behind: true, registry: ofRegistry(metav1.Condition{}, v1alpha1.Rollout{Environment: "staging", Commit: healthyCommit},
				v1alpha1.Rollout{Environment: "production", Commit: badCommit, Wave: 1, Waves: 3, Begun: 1, Releases: 9})},
			want: "3 its turn: shared change 222222222222, wave 1 of 3, 1 of 9 releases begun.",
		},
		"the shared change is stopped": {
			mr: modelRelease(v1alpha1.Healthy, "Healthy", ""),
			s: situation{behind: true, registry: ofRegistry(metav1.Condition{},
				v1alpha1.Rollout{Environment: "production", Commit: badCommit, Wave: 1, Waves: 3, Begun: 1, Releases: 9, Failed: []string{"a"}, Stopped: true})},
			want: "1 its turn: shared change 222222222222, wave 1 of 3, 1 of 9 releases begun; failed: a; stopped: git revert 222222222222 takes it back from all at once. $ git revert 222222222222",
		},
		"not signed": {
			mr: modelRelease(v1alpha1.Healthy, "Healthy", ""),
			s:  situation{registry: ofRegistry(metav1.Condition{Reason: "NotSigned", Message: "environment production stays where it is: no signature"})},
			want: "1 registry: NotSigned: environment production stays where it is: no signature. None of the environment's signers signed the branch's newest commit. One of them has to commit." +
				" $ git commit --allow-empty -S -m 'Accept what came before' $ git push",
		},
		"not signed, for another environment": {
			mr: modelRelease(v1alpha1.Healthy, "Healthy", ""),
			s:  situation{registry: ofRegistry(metav1.Condition{Reason: "NotSigned", Message: "environment staging stays where it is: no signature"})},
		},
		"not followed": {
			mr: modelRelease(v1alpha1.Healthy, "Healthy", ""),
			s:  situation{registry: ofRegistry(metav1.Condition{Reason: "NotFollowed", Message: "no route to host"})},
			want: "1 registry: NotFollowed: no route to host. The registry is not followed, so no new commit arrives. It is tried again." +
				" $ kubectl -n davit describe modelregistry models",
		},
	} {
		c.s.now = now
		var got []string
		for _, f := range findings(c.mr, c.s) {
			line := strconv.Itoa(int(f.Rank)) + " " + f.What + ": " + f.Text
			for _, command := range f.Do {
				line += " $ " + command
			}
			got = append(got, line)
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, strings.Join(got, "\n"), c.want)
		}
	}
}

// TestToDo holds which releases come first, and the one word for each.
func TestToDo(t *testing.T) {
	for _, c := range []struct {
		mr   *v1alpha1.ModelRelease
		rank Rank
		want string
	}{
		{modelRelease(v1alpha1.Healthy, "Healthy", ""), Well, "-"},
		{modelRelease(v1alpha1.Progressing, "RollingOut", ""), Passing, "RollingOut"},
		{modelRelease(v1alpha1.Waiting, "Unschedulable", ""), Passing, "Unschedulable"},
		{modelRelease(v1alpha1.Waiting, "HistoryRewritten", ""), Stopped, "davit sync --accept-rewrite"},
		{held(modelRelease(v1alpha1.RolledBack, "RolledBack", ""), "x"), Stopped, "git revert 222222222222"},
		{held(modelRelease(v1alpha1.Held, "Refused", ""), "Refused"), Stopped, "git revert 222222222222"},
		{held(modelRelease(v1alpha1.Failed, "CrashLoop", ""), "x"), Stopped, "git revert 222222222222"},
		{held(modelRelease(v1alpha1.Failed, "RollbackFailed", ""), "x"), Broken, "davit retry production/iris"},
	} {
		if rank, got := toDo(c.mr, findings(c.mr, situation{})); rank != c.rank || got != c.want {
			t.Errorf("%s, %s: %d %q, want %d %q", c.mr.Status.Phase, c.mr.Status.Reason, rank, got, c.rank, c.want)
		}
	}
}
