package cluster

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestLogResumes passes over the lines that were given before the connection broke.
func TestLogResumes(t *testing.T) {
	var got []string
	l := containerLog{runLogs: &runLogs{write: func(line LogLine) { got = append(got, line.Text) }}}
	var last time.Time
	for _, body := range []string{
		"2026-11-27T03:00:00.1Z one\n2026-11-27T03:00:00.2Z two\n",
		"2026-11-27T03:00:00.1Z one\n2026-11-27T03:00:00.2Z two\n2026-11-27T03:00:00.3Z \n2026-11-27T03:00:00.4Z four",
	} {
		if err := l.lines(strings.NewReader(body), &last); err != nil {
			t.Fatal(err)
		}
	}
	if text := strings.Join(got, "|"); text != "one|two||four" {
		t.Errorf("got %q", text)
	}
}

// TestLogOfEndedContainerIsReadOut reads what a container wrote last although the connection broke and the container
// ended meanwhile; a log that never comes is an error.
func TestLogOfEndedContainerIsReadOut(t *testing.T) {
	const first, second = "2026-11-27T03:00:00.1Z one\n", "2026-11-27T03:00:00.2Z two\n"
	for _, test := range []struct {
		name, want string
		always     bool
		err        string
	}{
		{"breaks once", "one|two", false, ""},
		{"breaks always", "one", true, "reading the log of trainer in pod p: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			reads := 0
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/log") {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"}}`)
					return
				}
				_, _ = io.WriteString(w, first)
				if reads++; reads == 1 || test.always {
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
				_, _ = io.WriteString(w, second)
			}))
			defer api.Close()
			typed, err := kubernetes.NewForConfig(&rest.Config{Host: api.URL})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			logs := &runLogs{c: &Cluster{clients: clients{typed: typed}, as: clients{typed: typed}}, LogQuery: LogQuery{Follow: true}, write: func(line LogLine) { got = append(got, line.Text) }}
			containerLog{runLogs: logs, namespace: "n", pod: "p", container: trainerName}.read(t.Context())
			if text := strings.Join(got, "|"); text != test.want {
				t.Errorf("got %q, want %q", text, test.want)
			}
			if err := errors.Join(logs.errs...); err == nil && test.err != "" || err != nil && (test.err == "" || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}

// TestLastProgress takes the last line of the documented form, and nothing that only looks like it.
func TestLastProgress(t *testing.T) {
	for log, want := range map[string]string{
		"":                            "",
		"davit: progress 1/9\nloss\n": "1/9",
		"davit: progress 1/9\ndavit: progress 2/9 loss=0.31\n": "2/9 loss=0.31",
		"bar 10%\rdavit: progress 3/9\n":                       "3/9",
		"davit: progress soon\n":                               "",
		"x davit: progress 4/9\n":                              "",
		"davit: progress 5/9x\n":                               "",
		strings.Repeat("x", 64<<10) + "davit: progress 6/9\n":  "",
	} {
		if got := lastProgress(strings.NewReader(log)); got != want {
			t.Errorf("%.40q: got %q, want %q", log, got, want)
		}
	}
}
