package web

import "net/http"

// openapi answers with the description of the API.
func (p *Page) openapi(w http.ResponseWriter, r *http.Request) {
	if _, err := p.ask(w, r); err != nil {
		p.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, p.description)
}
