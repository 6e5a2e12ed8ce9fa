package results

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is what the figures were measured on.
type Machine struct {
	CPU        string
	Cores      int
	MemoryMiB  int
	Kernel     string
	Go         string
	Kubernetes string
}

// ThisMachine reads /proc; what it does not find there stays empty.
func ThisMachine(kubernetes string) Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Kubernetes: kubernetes}
	m.CPU = field("/proc/cpuinfo", "model name")
	var kib int
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%d", &kib); err == nil {
		m.MemoryMiB = kib / 1024
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(kernel))
	}
	return m
}

// field is the value of the first line "name: value".
func field(file, name string) string {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
