package reconciler

// Settled is closed when no release is queued or under way.
func (r *Reconciler) Settled() <-chan struct{} { return r.settled() }
