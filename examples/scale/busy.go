package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuOf is what a process has used; see proc_pid_stat(5), whose times are in hundredths of a second.
func cpuOf(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	return ticks(fields[11], fields[12])
}

func ticks(fields ...string) (total time.Duration) {
	for _, f := range fields {
		n, _ := strconv.Atoi(f)
		total += time.Duration(n) * 10 * time.Millisecond
	}
	return total
}

// machine is what the whole machine has used and could have used; see proc_stat(5).
func machine() (busy, all time.Duration) {
	data, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(first)
	if len(fields) < 9 {
		return 0, 0
	}
	busy = ticks(fields[1], fields[2], fields[3], fields[6], fields[7])
	return busy, busy + ticks(fields[4], fields[5], fields[8])
}

// own is what this process and the children it has waited for have used.
func own() (total time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if syscall.Getrusage(who, &used) == nil {
			total += time.Duration(used.Utime.Nano() + used.Stime.Nano())
		}
	}
	return total
}

// load is a moment to compare another one with.
type load struct{ busy, all, ours time.Duration }

func (w *world) load() load {
	busy, all := machine()
	return load{busy, all, w.cpu() + own()}
}

// others is the percentage of the machine that was used by what is not part of the benchmark.
func (w *world) others(since load) float64 {
	now := w.load()
	if now.all == since.all {
		return 0
	}
	foreign := (now.busy - since.busy) - (now.ours - since.ours)
	return max(0, 100*float64(foreign)/float64(now.all-since.all))
}
