package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// message is a server-sent event.
type message struct{ id, event, data string }

// events reads a stream to its end.
func (w *world) events(t *testing.T, path, last string) (all []message) {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		ask.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	var m message
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if m.event != "" {
				all = append(all, m)
			}
			m = message{}
		}
	}
	return all
}

// texts are the lines of a stream, and the last message.
func texts(t *testing.T, all []message) (lines []string, id, last string) {
	t.Helper()
	for _, m := range all {
		last = m.event
		if m.event != "lines" {
			continue
		}
		var news struct{ Lines []fleet.LogLine }
		if err := json.Unmarshal([]byte(m.data), &news); err != nil {
			t.Fatal(err)
		}
		for _, l := range news.Lines {
			lines = append(lines, l.Text)
		}
		id = m.id
	}
	return lines, id, last
}

// TestLogs streams a run's log once, and goes on where a connection broke.
func TestLogs(t *testing.T) {
	w := look(t)
	path := "/api/v1/registries/" + name + "/runs/" + w.run(t) + "/logs"
	lines, id, last := texts(t, w.events(t, path, ""))
	want := []string{"loading flowers", "davit: progress 1/2 loss=0.31", "<img src=x onerror=alert(1)>", strings.Repeat("x", 4<<10) + "…"}
	if strings.Join(lines, "|") != strings.Join(want, "|") || last != "end" || id == "" {
		t.Fatalf("got %.300q, %q after %q", lines, id, last)
	}
	if again, _, last := texts(t, w.events(t, path, id)); len(again) != 0 || last != "end" {
		t.Errorf("lines that were told are told again: %q", again)
	}
	cursor, err := fleet.ParseCursor(id)
	if err != nil || len(cursor) != 1 {
		t.Fatalf("%v %v", cursor, err)
	}
	for source, at := range cursor {
		cursor[source] = at.Add(-150e6) // behind the second line
	}
	if rest, _, _ := texts(t, w.events(t, path+"?after="+cursor.String(), "")); strings.Join(rest, "|") != strings.Join(want[2:], "|") {
		t.Errorf("got %.300q", rest)
	}
	for bad, status := range map[string]int{path + "?after=x": 400, strings.Replace(path, "/runs/", "/runs/no", 1): 404} {
		if body, got := w.get(t, bad); got != status {
			t.Errorf("%s: %d %s", bad, got, body)
		}
	}
}

// TestLogsAreForSome gives no line of a log to whoever may see the run alone.
func TestLogsAreForSome(t *testing.T) {
	w := look(t)
	run := w.run(t)
	viewer := fleet.Viewer{Logs: func(string, string) bool { return false }}
	p := w.data.RunPage(t.Context(), viewer, name, "iris/softmax", run, true)
	if p == nil || p.Logs || len(p.Lines) > 0 || p.After != "" || len(p.Pods) == 0 {
		t.Errorf("%+v", p)
	}
	if err := w.data.RunLog(t.Context(), viewer, name, "staging", run, nil, func(fleet.LogLine, fleet.Cursor) { t.Error("a line") }); err != fleet.ErrNoLog {
		t.Error(err)
	}
	none := fleet.Viewer{May: func(_, environment string) bool { return environment != "staging" }}
	if p := w.data.RunPage(t.Context(), none, name, "iris/softmax", run, true); p != nil {
		t.Errorf("%+v", p)
	}
	if all := w.data.Trainings(t.Context(), none, name, fleet.TrainingQuery{}); len(all.Trainings) != 0 || all.All != 0 {
		t.Errorf("%+v", all)
	}
	for _, e := range w.data.GPUs(t.Context(), none, name).Environments {
		if e.Environment == "staging" {
			t.Errorf("%+v", e)
		}
	}
}

// TestView tells of the one run, and of who asks for GPUs.
func TestView(t *testing.T) {
	w := look(t)
	p := w.data.RunPage(t.Context(), fleet.Viewer{}, name, "iris/softmax", w.run(t), true)
	if p == nil || p.Asked == nil || p.Path != "models/iris/training/softmax.yaml" || len(p.Inputs) != 1 || len(p.Lines) != 4 || p.Run.GPUs != 2 || p.Run.ToDo == "" {
		t.Fatalf("%+v", p)
	}
	g := w.data.GPUs(t.Context(), fleet.Viewer{}, name)
	if len(g.Notes) > 0 || len(g.Clusters) != 1 || len(g.Clusters[0].Accelerators) != 1 || len(g.Environments) != 2 || len(g.Waits) != 1 {
		t.Fatalf("%+v", g)
	}
	if row := g.Clusters[0].Accelerators[0]; row.Has != 16 || row.Free != 14 || row.Releases != 11 || row.Branch != 11 || row.Runs != 0 || row.Resource != "nvidia.com/gpu" || row.Names[0] != "gpu" {
		t.Errorf("%+v", row)
	}
	if wait := g.Waits[0]; wait.Release != "large" || wait.GPUs != 9 || !strings.HasPrefix(wait.Why, "9 × nvidia.com/gpu each; 14 of 16 free on 2 nodes, at most ") {
		t.Errorf("%+v", wait)
	}
	all := w.data.Trainings(t.Context(), fleet.Viewer{}, name, fleet.TrainingQuery{})
	if len(all.Trainings) != 2 || all.All != 1 || all.Trainings[1].Schedule != "0 0 1 1 * Europe/Rome" || all.Trainings[1].Next.Month() != time.December {
		t.Errorf("%+v", all.Trainings)
	}
	if e := g.Environments[0]; e.Environment != "production" || e.Quota != 4 || !e.Bounded || e.Releases != 1 {
		t.Errorf("%+v", e)
	}
}

// TestLogsAreBounded refuses the twenty-first log, until one of the others is left.
func TestLogsAreBounded(t *testing.T) {
	w := look(t)
	hold := make(chan struct{})
	held.Store(&hold)
	defer func() {
		held.Store(nil)
		close(hold)
	}()
	url := w.url + "/api/v1/registries/" + name + "/runs/" + w.run(t) + "/logs"
	ask := func(ctx context.Context) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	first, leave := context.WithCancel(t.Context())
	defer leave()
	for i := range 20 {
		ctx := t.Context()
		if i == 0 {
			ctx = first
		}
		if answer := ask(ctx); answer.StatusCode != http.StatusOK {
			t.Fatalf("log %d: %s", i, answer.Status)
		}
	}
	if answer := ask(t.Context()); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Fatalf("one too many: %s %v", answer.Status, answer.Header)
	}
	leave()
	for deadline := time.Now().Add(30 * time.Second); ask(t.Context()).StatusCode != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a log that nobody reads any more keeps its place")
		}
	}
}
