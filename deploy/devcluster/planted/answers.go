package planted

import "net/http"

// Answers serves h, and tells of each answer in which there is a planted word, its header included. It may tell at any time, from any
// goroutine.
func Answers(h http.Handler, tell func(r *http.Request, word string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w}
		h.ServeHTTP(a, r)
		for _, values := range w.Header() {
			for _, value := range values {
				_, _ = a.heard.Write([]byte(value + "\n"))
			}
		}
		if a.heard.Found != "" {
			tell(r, a.heard.Found)
		}
	})
}

type answer struct {
	http.ResponseWriter
	heard Writer
}

func (a *answer) Write(p []byte) (int, error) {
	_, _ = a.heard.Write(p)
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
