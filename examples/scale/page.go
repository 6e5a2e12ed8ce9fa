package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

// page asks for each view of the web page as a browser does: once when it was never looked at, and again and again. Beside
// it are the first view's bytes from a server that has them ready, which is what HTTP alone takes.
func (m *measure) page(ctx context.Context) error {
	if err := m.startWith(controller.Config{Page: true}); err != nil {
		return err
	}
	url, err := m.davit.url(ctx)
	if err != nil {
		return err
	}
	if err := m.quiet(ctx, 5*time.Minute); err != nil {
		return err
	}
	r := m.repo.releases[m.n/2]
	release := url + "/releases/" + generate.Environment + "/" + r.Name
	var fleet []byte
	for _, view := range []struct{ name, url, target string }{
		{"fleet", url, m.target(1000, "first < 100 ms")},
		{"fleet, searched", url + "?q=" + r.Name, ""},
		{"a release", release, ""},
		{"a release's diff", release + "/diff", ""},
		{"timeline", url + "/timeline", ""},
		{"models", url + "/models", ""},
		{"a model", url + "/models/" + r.Model, ""},
		{"trainings", url + "/trainings", ""},
		{"GPUs", url + "/gpus", ""},
	} {
		body, err := m.view(ctx, view.name, view.url, view.target)
		if err != nil {
			return err
		}
		if fleet == nil {
			fleet = body
		}
	}
	static := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(fleet) }))
	defer static.Close()
	if _, err := m.view(ctx, "the fleet's bytes from memory, for comparison", static.URL, ""); err != nil {
		return err
	}
	u, err := m.davit.usage("")
	if err != nil {
		return err
	}
	m.memory("with the web page looked at", u)
	return m.stop()
}

// target is text at n releases, and none at other numbers.
func (m *measure) target(n int, text string) string {
	if m.n == n {
		return text
	}
	return ""
}

// view adds a row of one view, which it returns: the first time, and then the middle and the slowest of many.
func (m *measure) view(ctx context.Context, name, url, target string) ([]byte, error) {
	first, err := get(ctx, url)
	if err != nil {
		return nil, err
	}
	var all []time.Duration
	for range m.bench.pickCount(50, 5) {
		again, err := get(ctx, url)
		if err != nil {
			return nil, err
		}
		all = append(all, again.took)
	}
	held := (*bool)(nil)
	if target != "" {
		held = results.Held(first.took < 100*time.Millisecond)
	}
	p50, last := results.Percentile(all, 50), results.Percentile(all, 100)
	m.add("web page, "+name+": first / p50 / slowest, bytes", target, held,
		map[string]float64{"firstms": results.Milliseconds(first.took), "p50ms": results.Milliseconds(p50), "lastms": results.Milliseconds(last), "bytes": float64(len(first.body))},
		"%s / %s / %s, %d KiB", milliseconds(first.took), milliseconds(p50), milliseconds(last), len(first.body)>>10)
	return first.body, nil
}

// answer is a page, and how long it took to its last byte.
type answer struct {
	body []byte
	took time.Duration
}

func get(ctx context.Context, url string) (*answer, error) {
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return &answer{body, time.Since(began)}, nil
}
