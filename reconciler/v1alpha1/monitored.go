package v1alpha1

// ConditionMonitored is of a ModelRegistry that grants a Prometheus: whether each of them answers. Its message names the
// environments whose does not.
const ConditionMonitored = "Monitored"
