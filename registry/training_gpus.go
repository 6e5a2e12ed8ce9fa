package registry

// GPUs is how many GPUs a run takes, on all its nodes, or parts of one where its accelerator hands out parts.
func (t *Training) GPUs() int { return t.Nodes() * t.Spec.GPUs }
