package v1alpha1

// ConditionMonitored is of a ModelRegistry that grants a Prometheus: whether each of them answers. Its message names the
// environments whose does not, and the runtimes where it answers of others.
const ConditionMonitored = "Monitored"
