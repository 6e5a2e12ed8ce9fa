package cluster

import (
	"fmt"
	"strings"
	"time"
)

// State is how a release, a workload or a pod fares.
type State string

// The states, from good to bad.
const (
	Ready       State = "Ready"
	Progressing State = "Progressing"
	Waiting     State = "Waiting" // not ready for a reason outside the revision
	Failed      State = "Failed"  // not ready for a cause inside the revision
)

// Reasons that a caller branches on; others come from Kubernetes.
const (
	// ReasonImageNotFound is what the node says. Ask the OCI registry before believing it.
	ReasonImageNotFound  = "ImageNotFound"
	ReasonCrash          = "CrashLoop"
	ReasonStartupTimeout = "StartupTimeout"
)

// Health is how something fares and why.
type Health struct {
	State State
	// Reason is one CamelCase word, Message a sentence for a person; both empty when Ready.
	Reason, Message string
	// Since is when it became ready, by the kubelets' clocks; zero when it is not or nobody knows.
	Since time.Time
	// Next is when the verdict may change with no object changing; zero when it can't.
	Next time.Time
	// Crashes is how often containers of the current revision ended.
	Crashes int
	// Partly says that some of the workload's replicas are ready, all the same.
	Partly bool
	// Image is the reference that was not found.
	Image string
	// LastLog is the end of what the crashed container wrote. It may hold prompts and keys, so it is kept
	// apart from Message: it may go into the status, never into Git.
	LastLog string
	// ExitCode is of the container that crashed; nil when none did, or its end is not known.
	ExitCode *int32

	crash *crash
}

// Sentence is Message and, after a crash, the last line the container wrote. It may not go into Git.
func (h Health) Sentence() string {
	lines := strings.Split(strings.TrimSpace(h.LastLog), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return h.Message + ": " + last
	}
	return h.Message
}

var severity = map[State]int{Ready: 0, Progressing: 1, Waiting: 2, Failed: 3}

// worst joins the health of parts: the worst part's, with the crashes of all and the earliest Next.
func worst(parts ...Health) Health {
	h := Health{State: Ready}
	for _, p := range parts {
		crashes, next, since, partly := h.Crashes+p.Crashes, earliest(h.Next, p.Next), h.Since, h.Partly || p.Partly
		if p.Since.After(since) {
			since = p.Since
		}
		if severity[p.State] > severity[h.State] {
			h = p
		}
		h.Crashes, h.Next, h.Since, h.Partly = crashes, next, since, partly
	}
	if h.State != Ready {
		h.Since = time.Time{}
	}
	return h
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func progressing(reason, format string, args ...any) Health {
	return Health{State: Progressing, Reason: reason, Message: fmt.Sprintf(format, args...)}
}
