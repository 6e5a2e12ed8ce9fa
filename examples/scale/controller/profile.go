package controller

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profile writes a CPU profile to file until the returned function is called; nothing when file is empty.
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
	}, nil
}

// heap writes a profile of what is alive now, and by whom it was allocated.
func heap(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	runtime.GC()
	return pprof.Lookup("heap").WriteTo(out, 0)
}
