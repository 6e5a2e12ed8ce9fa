package cluster

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// LastLog is the last five lines a container wrote, or the one before it wrote; empty when they can't be
// had within five seconds.
func (c *Cluster) LastLog(ctx context.Context, namespace, pod, container string, previous bool) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	lines, bytes := int64(5), int64(4<<10)
	out, err := c.as.typed.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &lines, LimitBytes: &bytes,
	}).DoRaw(ctx)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(out), ""))
}
