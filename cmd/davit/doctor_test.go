package main

import "testing"

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
