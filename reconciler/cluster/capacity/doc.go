// Package capacity tells what devices rendered objects ask for, and which of their pods a cluster has no room for.
//
// It asks nobody: package cluster reads what a cluster has, and the command line shows what comes of it. It knows
// nothing of Git, registries or rendering. Requests, node affinity, tolerations and device claims are judged by the
// scheduler's own code (k8s.io/component-helpers, k8s.io/dynamic-resource-allocation). Priorities, quotas, queues,
// volumes, affinity between pods and spread over zones are not looked at, so a pod it finds a place for may wait all
// the same.
package capacity
