//go:build !linux

package devcluster

import (
	"errors"
	"syscall"
)

// childAttr puts a child into a process group of its own. Only Linux can tie it to its parent's life.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func unmount(string) error { return errors.ErrUnsupported }

// startTime can only tell whether the process lives.
func startTime(pid int) uint64 {
	if syscall.Kill(pid, 0) != nil {
		return 0
	}
	return 1
}
