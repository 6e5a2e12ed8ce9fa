package status

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Serving is the revision of a release that has the traffic, or may have.
type Serving struct {
	// Revision has no commit where nothing serves yet.
	v1alpha1.Revision
	// Applied says that it is applied and was not healthy yet. Healthy is then the last revision that was, nil for none.
	Applied bool
	Healthy *v1alpha1.Revision
	// By is its commit; zero when it is not in the repository.
	By gitops.Commit
}

// Serves tells it.
func (v *View) Serves(ctx context.Context, mr *v1alpha1.ModelRelease) Serving {
	st := mr.Status
	s := Serving{Revision: st.Applied}
	switch t := st.Traffic; {
	case st.Applied.Commit == "":
		return s
	case t != nil && t.Next != "" && st.Healthy.Commit != "":
		s.Revision = st.Healthy
	case st.Applied.ObjectsHash != st.Healthy.ObjectsHash:
		if s.Applied = true; st.Healthy.Commit != "" {
			s.Healthy = st.Healthy.DeepCopy()
		}
	}
	s.By, _ = v.Commit(ctx, s.Commit)
	return s
}

// OnItsWay is what was begun and has no outcome yet, at which commit, since when and by whom; "" when nothing is.
func OnItsWay(mr *v1alpha1.ModelRelease) string {
	claim := mr.Spec.Claim
	if !mr.Pending() {
		return ""
	}
	return fmt.Sprintf("%s at %s, since %s, by %s", orDash(claim.Version), short(claim.Commit), claim.Time.Local().Format(time.DateTime), orDash(claim.Holder))
}

// Versions is the applied version and, while a claim has no outcome, the one on its way; "-" for neither.
func Versions(mr *v1alpha1.ModelRelease) string {
	is, next := mr.Status.Applied.Version, mr.Spec.Claim.Version
	if mr.Pending() && next != is && is != "" {
		return is + " → " + next
	}
	if is == "" {
		return orDash(next)
	}
	return is
}

// Metrics tells how a release serves, on one line; "" where nobody measures it.
func Metrics(m *v1alpha1.ServingMetrics) string {
	if m == nil {
		return ""
	}
	var parts []string
	add := func(value, text string) {
		if value != "" {
			parts = append(parts, text)
		}
	}
	add(m.Requests, m.Requests+" requests/s")
	add(m.Errors, scaled(m.Errors, 100)+"% errors")
	add(m.Latency, "p95 latency "+seconds(m.Latency))
	add(m.TTFT, "p95 first token "+seconds(m.TTFT))
	add(m.Tokens, m.Tokens+" tokens/s")
	add(m.Message, m.Message)
	return strings.Join(parts, ", ") + " (the " + strings.TrimSuffix(m.Window.Duration.String(), "0s") + " to " + m.At.Local().Format(time.TimeOnly) + ")"
}

// seconds writes decimal seconds as people do.
func seconds(text string) string {
	if v, err := strconv.ParseFloat(text, 64); err == nil && v < 1 {
		return scaled(text, 1000) + "ms"
	}
	return text + "s"
}

// scaled is a decimal number times another, with three digits.
func scaled(text string, by float64) string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(v*by, 'g', 3, 64)
}
