package gitops

import (
	"reflect"
	"testing"
)

// What a sweep gave a run stays as it was claimed, whoever records how it goes on.
func TestLedgerTrial(t *testing.T) {
	everywhere(t, func(t *testing.T, _ *repo, open func() *Ledger) {
		run := tuned(1)
		run.Trial = map[string]string{"lr": "0.1", "": "a\nb"}
		claim(t, open(), run, true)
		other := tuned(1)
		other.State, other.Trial = RunStarted, map[string]string{"lr": "7"}
		if got, err := open().RecordRun(t.Context(), other); err != nil || !reflect.DeepEqual(got.Trial, run.Trial) {
			t.Errorf("recorded %+v, %v", got, err)
		}
		runs, err := open().Runs(t.Context())
		if err != nil || !reflect.DeepEqual(runs[run.Hash].Trial, run.Trial) {
			t.Errorf("ledger says %+v, %v", runs[run.Hash], err)
		}
	})
}
