package gitops

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

func TestZZ(t *testing.T) {
	r := newRepo(t)
	st := time.Now()
	for i := range 10000 {
		r.write(fmt.Sprintf("releases/r%05d/serving.yaml", i), fmt.Sprint(i))
		r.write(fmt.Sprintf("releases/r%05d/production.yaml", i), fmt.Sprint("version ", i))
	}
	r.commit("wide")
	for i := range 300 {
		r.commit(fmt.Sprint(i), fmt.Sprintf("releases/r%05d/production.yaml", i*31), fmt.Sprint("v", i))
	}
	t.Log("write", time.Since(st))
	for _, k := range []string{"loose", "packed"} {
		if k == "packed" {
			r.git("gc", "-q")
		}
		st = time.Now()
		s := r.open("")
		t.Log(k, "open", time.Since(st))
		st = time.Now()
		snap := snapshot(t, s, "HEAD")
		t.Log(k, "snapshot", time.Since(st))
		st = time.Now()
		n := 0
		for i := range 10000 {
			if _, err := snap.ReadFile(fmt.Sprintf("releases/r%05d/production.yaml", i)); err != nil {
				t.Fatal(err)
			}
			n++
		}
		t.Log(k, "read 10000", time.Since(st))
		st = time.Now()
		for i := range 10000 {
			snap.BlobHash(fmt.Sprintf("releases/r%05d/production.yaml", i))
		}
		t.Log(k, "blobhash 10000", time.Since(st))
		old := snapshot(t, s, "HEAD~1")
		st = time.Now()
		snap.Changed(t.Context(), old)
		t.Log(k, "changed cold", time.Since(st))
		st = time.Now()
		snap.Changed(t.Context(), old)
		t.Log(k, "changed warm", time.Since(st))
		st = time.Now()
		c := 0
		s.FirstParents(t.Context(), snap.Hash(), func(Commit, []string) (bool, error) { c++; return true, nil })
		t.Log(k, "firstparents", c, time.Since(st))
		st = time.Now()
		d, err := s.Dirty(t.Context())
		t.Log(k, "dirty", d, err, time.Since(st))
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		t.Log("heap MiB", m.HeapAlloc>>20)
		s.Close()
	}
}
