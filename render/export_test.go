package render

// Templates counts the forms that r has a template of.
func (r *Renderer) Templates() (n int) {
	for _, t := range r.templates.young {
		if t != nil {
			n++
		}
	}
	return n
}
