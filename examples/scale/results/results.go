// Package results holds what a run of the benchmark measured and writes it as JSON, as a Markdown table and as an
// SVG plot. It knows nothing of how the figures came about.
package results

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Results is one run.
type Results struct {
	Date    time.Time
	Machine Machine
	Notes   []string
	Rows    []Row
	// Rates are first syncs compared, in API writes per second.
	Rates []Rate
	// Promotions are the latencies of one-line commits.
	Promotions []Latency
}

// Row is one line of the table.
type Row struct {
	Releases int
	What     string
	Target   string // empty where there is none
	Measured string
	Held     *bool              // whether the target was held; nil where there is none
	Values   map[string]float64 `json:",omitempty"`
}

// Rate is a bar.
type Rate struct {
	Name     string
	Releases int
	PerSec   float64
}

// Latency is a point of both lines, in milliseconds.
type Latency struct {
	Releases int
	P50, P99 float64
}

// Add appends a row.
func (r *Results) Add(row Row) { r.Rows = append(r.Rows, row) }

// Held is a value for Row.Held.
func Held(ok bool) *bool { return &ok }

// Write writes results.json, results.md and results.svg into dir.
func (r *Results) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding results: %w", err)
	}
	for name, text := range map[string]string{"results.json": string(data) + "\n", "results.md": r.Markdown(), "results.svg": r.SVG()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Percentile is the nearest-rank percentile of durations; zero for none.
func Percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	rank := int(p/100*float64(len(sorted)) + 0.9999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Milliseconds is d with a fraction.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
