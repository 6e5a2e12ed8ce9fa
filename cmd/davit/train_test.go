package main

import (
	"testing"

	"github.com/davit-dev/davit/gitops"
)

// TestRecorded finds a run by its name or hash, and asks which where two trainings have one name.
func TestRecorded(t *testing.T) {
	runs := map[string]gitops.Run{"aa": {Hash: "aa", Name: "tune-1"}, "bb": {Hash: "bb", Name: "tune-2"}, "cc": {Hash: "cc", Name: "tune-2"}}
	for arg, hash := range map[string]string{"tune-1": "aa", "cc": "cc", "tune-2": "", "tune-3": "", "iris/tune": ""} {
		run, err := recorded(runs, arg)
		if run.Hash != hash || (err == nil) != (hash != "") {
			t.Errorf("%s: got %q, %v, want %q", arg, run.Hash, err, hash)
		}
	}
}
