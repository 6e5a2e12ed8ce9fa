package cluster

import "github.com/davit-dev/davit/reconciler/v1alpha1"

// Drifted lists the objects of mr's inventory that are gone, or were replaced, or of which somebody changed what
// davit applied, by the watches alone: it takes about a microsecond an object and sends nothing. What is not
// watched (Secrets; kinds whose first list is not there), what the watch does not show davit's own last write of
// yet, and what is being deleted are left out; so are objects annotated davit.dev/drift: ignore, unless they
// are gone. Drift confirms what it lists. It is not to be called while mr's objects are applied.
func (w *Watcher) Drifted(mr *v1alpha1.ModelRelease) (drifted []v1alpha1.ObjectRef) {
	set := setID(mr)
	for _, ref := range mr.Status.Inventory {
		if ref.Stale || ref.UID == "" {
			continue
		}
		t, known := w.ensure(ref.GroupKind()).look(mr.Namespace, ref.Name)
		switch {
		case !known || t != nil && t.deleting:
		case t == nil || t.uid != ref.UID || t.part != set || t.fields != ref.Fields && !t.ignore:
			drifted = append(drifted, ref)
		}
	}
	return drifted
}

// Suspects says by the running Watcher, if there is one, whether somebody changed something of mr's objects; Drift confirms it.
func (c *Cluster) Suspects(mr *v1alpha1.ModelRelease) bool {
	w := c.watcher.Load()
	return w != nil && len(w.Drifted(mr)) > 0
}
