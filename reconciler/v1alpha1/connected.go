package v1alpha1

// ConditionConnected is of a ModelRegistry: whether the cluster of each environment is reached, with the rights that davit
// needs there. Its message names the environments that are not.
const ConditionConnected = "Connected"
