package web

// Patterns are the places of the page.
func (p *Page) Patterns() (all []string) {
	for _, r := range p.routes() {
		all = append(all, r.pattern)
	}
	return all
}
