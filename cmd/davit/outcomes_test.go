package main

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestKeptBy reads outcomes from a ModelRelease as notes tell them, and what has none yet by its phase.
func TestKeptBy(t *testing.T) {
	first, second, third := strings.Repeat("1", 40), strings.Repeat("2", 40), strings.Repeat("3", 40)
	at := func(minute int) metav1.Time {
		return metav1.NewTime(time.Date(2026, 3, 31, 10, minute, 0, 0, time.UTC))
	}
	mr := &v1alpha1.ModelRelease{
		Spec: v1alpha1.ModelReleaseSpec{Environment: "production", Release: "iris"},
		Status: v1alpha1.ModelReleaseStatus{
			Phase: v1alpha1.Waiting, Applied: v1alpha1.Revision{Commit: third, Version: "v3", Time: at(30)},
			Outcomes: []v1alpha1.Outcome{
				{Commit: second, Version: "v2", Outcome: v1alpha1.RolledBack, Reason: "CrashLoop", Serves: &v1alpha1.Serves{Commit: first, Version: "v1"}, At: at(12)},
				{Commit: second, Version: "v2", Outcome: v1alpha1.Failed, Reason: "CrashLoop", Message: "it ended", At: at(11)},
				{Commit: first, Version: "v1", Outcome: v1alpha1.Healthy, At: at(1)},
			},
		},
	}
	var got []string
	kept := keptBy(mr)
	for _, e := range kept {
		got = append(got, e.Commit.String()[:1]+" "+e.Outcome+" "+e.Version+" "+e.Reason+" "+e.Serves)
	}
	if want := "1 Healthy v1  ,2 Failed v2 CrashLoop ,2 RolledBack v2 CrashLoop v1,3 Waiting v3  "; strings.Join(got, ",") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ","), want)
	}
	if kept[2].Event.Commit != first {
		t.Errorf("serves %s", kept[2].Event.Commit)
	}
	noted := []gitops.Noted{{Commit: kept[0].Commit, Event: gitops.Event{Release: "production/iris", Outcome: "Healthy", At: kept[0].At}}}
	if all := merged(noted, kept); len(all) != len(kept) {
		t.Errorf("%d events, want each once", len(all))
	}
}
