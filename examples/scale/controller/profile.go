package controller

import (
	"fmt"
	"os"
	"runtime/pprof"
)

// profile writes a CPU profile to file until the returned function is called, and then one of the heap beside it;
// nothing when file is empty.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		out.Close()
		return nil, fmt.Errorf("profiling the controller: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		out.Close()
		if heap, err := os.Create(file + ".heap"); err == nil {
			_ = pprof.Lookup("heap").WriteTo(heap, 0)
			heap.Close()
		}
	}, nil
}
