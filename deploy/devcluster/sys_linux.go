package devcluster

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// childAttr puts a child into a process group of its own, so that a terminal's Ctrl-C reaches the supervisor
// alone, and has the kernel kill it when the thread that started it ends.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func unmount(path string) error { return syscall.Unmount(path, syscall.MNT_DETACH) }

// startTime is a process's start in clock ticks since boot, field 22 of proc(5)'s stat; with the pid it names
// a process for good. Zero means there is no such process, or it is a zombie.
func startTime(pid int) uint64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data[strings.LastIndexByte(string(data), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" {
		return 0
	}
	var ticks uint64
	fmt.Sscan(fields[19], &ticks)
	return ticks
}
