package main

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func TestMounts(t *testing.T) {
	for runtime, want := range map[string]bool{
		"containerd://2.1.0": true, "containerd://2.0.5": false, "containerd://1.7.27": false, "containerd://3.0.0-beta.1": true,
		"cri-o://1.30.4": false, "cri-o://1.31.0": true, "docker://28.0.1": true, "kwok-v0.8.0": true, "": true,
	} {
		if got := mounts(runtime); got != want {
			t.Errorf("%q: %v, want %v", runtime, got, want)
		}
	}
}

// TestDoctorTellsOfPrometheus goes by what the controller says of it.
func TestDoctorTellsOfPrometheus(t *testing.T) {
	mr := &v1alpha1.ModelRegistry{}
	for _, c := range []struct {
		status         metav1.ConditionStatus
		message, state string
	}{
		{"", "", ""},
		{metav1.ConditionTrue, "", fine},
		{metav1.ConditionFalse, "environment production: connection refused", warn},
	} {
		e := &examination{}
		if mr.Status.Conditions = nil; c.status != "" {
			mr.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionMonitored, Status: c.status, Message: c.message}}
		}
		e.monitored("davit/models", mr)
		switch {
		case c.state == "" && len(e.findings) == 0:
		case c.state == "" || len(e.findings) != 1:
			t.Errorf("%q: %+v", c.status, e.findings)
		case e.findings[0].State != c.state || !strings.Contains(e.findings[0].Message, c.message) || (e.findings[0].Remedy == "") != (c.state == fine):
			t.Errorf("%q: %+v", c.status, e.findings[0])
		}
	}
}
