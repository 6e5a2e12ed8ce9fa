package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// rolloutFinding tells of traffic that goes over from one revision's workload to another's.
func rolloutFinding(mr *v1alpha1.ModelRelease, s situation) *Finding {
	t := mr.Status.Traffic
	if t == nil {
		return nil
	}
	switch {
	case t.Next != "" && t.Weight > 0:
		text := fmt.Sprintf("%s (%s) has %d%% of the traffic", mr.Status.Applied.Version, t.Next, t.Weight)
		if t.Step > 0 {
			text += fmt.Sprintf(", step %d since %s", t.Step, t.Since.Local().Format(time.DateTime))
		}
		if t.Serving != "" {
			text += fmt.Sprintf("; %s (%s) has the rest", orDash(mr.Status.Healthy.Version), t.Serving)
		}
		return &Finding{What: "traffic", Brief: "traffic", Text: sentences(text), Rank: Passing}
	case t.Next != "":
		text := fmt.Sprintf("%s (%s) has none yet", mr.Status.Applied.Version, t.Next)
		if t.Serving != "" {
			text += fmt.Sprintf("; %s (%s) has it all", orDash(mr.Status.Healthy.Version), t.Serving)
		}
		return &Finding{What: "traffic", Brief: "traffic", Text: sentences(text), Rank: Passing}
	case t.Kept != "" && t.KeptUntil.After(s.now):
		return &Finding{What: "kept", Text: sentences(fmt.Sprintf("the workload before, %s, runs on until %s: going back takes seconds", t.Kept, t.KeptUntil.Local().Format(time.DateTime))), Rank: Well}
	}
	return nil
}

// waveFinding tells a release that its wave has not come, or that the shared change is stopped.
func waveFinding(mr *v1alpha1.ModelRelease, s situation) *Finding {
	if s.registry == nil || !s.behind {
		return nil
	}
	for _, r := range s.registry.Status.Rollouts {
		if r.Environment != mr.Spec.Environment {
			continue
		}
		f := &Finding{What: "its turn", Brief: "its wave", Rank: Passing, Text: sentences(strings.TrimPrefix(Rollout(r), r.Environment+": "))}
		if r.Stopped {
			f.Rank, f.Do = Stopped, []string{"git revert " + short(r.Commit)}
		}
		return f
	}
	return nil
}

// Rollout is how a shared change goes through an environment, on one line.
func Rollout(r v1alpha1.Rollout) string {
	text := fmt.Sprintf("%s: shared change %s, wave %d of %d, %d of %s begun", r.Environment, short(r.Commit), r.Wave, r.Waves, r.Begun, counted(r.Releases, "release"))
	if len(r.Failed) > 0 {
		text += "; failed: " + strings.Join(r.Failed, ", ")
	}
	switch {
	case r.Stopped:
		text += "; stopped: git revert " + short(r.Commit) + " takes it back from all at once"
	case r.NotBefore != nil:
		text += "; this wave begins " + r.NotBefore.Local().Format(time.DateTime)
	}
	if r.Soak != "" {
		text += "; soak: " + r.Soak
	}
	return text
}
