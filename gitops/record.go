package gitops

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"time"
)

// The rules of a run's record, for every place that keeps runs. Ledger is one of them.

var runHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Claim is the run as it is first recorded: in state Claimed, now if its Claimed is zero, with a Nonce of its own. It fails
// for a hash that is none.
func (r Run) Claim() (Run, error) {
	if !runHash.MatchString(r.Hash) {
		return Run{}, fmt.Errorf("hash %q is not 64 lower-case hex digits", r.Hash)
	}
	r.State = RunClaimed
	if r.Claimed.IsZero() {
		r.Claimed = time.Now()
	}
	r.Nonce = rand.Text()
	return r.recorded()
}

// Follows is the record that replaces now by this run, as [Ledger.RecordRun] has it: ErrRunState says that it may not.
// Equal records are no change.
func (r Run) Follows(now Run, from ...RunState) (Run, error) {
	run, err := r.recorded()
	if err != nil {
		return now, err
	}
	next := run.claimedAs(now)
	if reflect.DeepEqual(now, next) {
		return now, nil // also after an answer that got lost
	}
	if len(from) > 0 && !slices.Contains(from, now.State) {
		return now, fmt.Errorf("%w: it is %s", ErrRunState, now.State)
	}
	if err := now.allows(next); err != nil {
		return now, err
	}
	return next, nil
}

// Encode is the run's file. Times are to the second, in UTC, as they are in outcomes. It fails for metrics that JSON has no
// number for.
func (r Run) Encode() ([]byte, error) {
	for _, t := range []*time.Time{&r.Claimed, &r.Started, &r.Ended} {
		*t = t.UTC().Truncate(time.Second)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // people read it
	enc.SetIndent("", "  ")
	err := enc.Encode(r)
	return out.Bytes(), err
}

// DecodeRun reads a run's file. Fields that are not known here may be a newer davit's, and are left out.
func DecodeRun(data []byte) (run Run, err error) {
	if err := json.Unmarshal(data, &run); err != nil {
		return Run{}, fmt.Errorf("decoding the run: %w", err)
	}
	if !runHash.MatchString(run.Hash) {
		return run, fmt.Errorf("the run's hash is %q", run.Hash)
	}
	if _, ok := run.State.order(); !ok {
		return run, &unknownState{run.State}
	}
	return run, nil
}

// unknownState is no fault of the file.
type unknownState struct{ state RunState }

func (e *unknownState) Error() string {
	return fmt.Sprintf("state %q is not known; a newer davit may have written it", e.state)
}

// restore adds to a fault of a file in the ledger what mends it.
func restore(err error) error {
	if errors.As(err, new(*unknownState)) {
		return err
	}
	return fmt.Errorf("%w; restore the file from a commit before", err)
}

// recorded is the run as one reads it from its file.
func (r Run) recorded() (Run, error) {
	data, err := r.Encode()
	if err != nil {
		return r, err
	}
	var read Run
	return read, json.Unmarshal(data, &read)
}
