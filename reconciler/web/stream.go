package web

import (
	"fmt"
	"net/http"
	"time"
)

// stream is an answer of server-sent events.
type stream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

// newStream begins one, which a browser whose connection breaks asks for again after two seconds.
func newStream(w http.ResponseWriter) (*stream, error) {
	s := &stream{w, http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	return s, s.send("retry: 2000\n: hello\n\n")
}

// send writes, within ten seconds.
func (s *stream) send(text string) error {
	_ = s.out.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprint(s.w, text); err != nil {
		return err
	}
	return s.out.Flush()
}
