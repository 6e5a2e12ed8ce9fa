package controller

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what a process has used since its start.
type Usage struct {
	Requests   map[string]int // "apply deployments", "update modelreleases/status", …
	CPU        time.Duration
	RSS, Peak  uint64 // bytes resident now, and at most; zero where there is no /proc
	File       uint64 // bytes of RSS that are pages of the program's file, which the kernel can drop at any time
	HeapLive   uint64 // bytes that the last garbage collection found alive
	Goroutines int
}

func usage(r *requests) *Usage {
	u := &Usage{Requests: r.counts(), Goroutines: runtime.NumGoroutine()}
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		u.CPU = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	u.HeapLive = sample[0].Value.Uint64()
	u.RSS, u.Peak, u.File = status("VmRSS:"), status("VmHWM:"), status("RssFile:")
	return u
}

// status is a field of /proc/self/status in bytes; see proc_pid_status(5).
func status(field string) uint64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), field)
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, _ := strconv.ParseUint(value, 10, 64)
	return kib << 10
}
