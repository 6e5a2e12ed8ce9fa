package registry

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FleetPolicy rolls one change over many releases of an environment in waves. Without waves there is one:
// everything.
type FleetPolicy struct {
	// Waves are ascending, counts before percentages; the last is 100%, written or not.
	Waves []Wave `yaml:"waves"`
	// Soak is how long a wave stays healthy before the next starts; none when zero.
	Soak Duration `yaml:"soak"`
	// StopAfterFailed is how many failed releases stop the waves to come; 1 when zero.
	StopAfterFailed int `yaml:"stopAfterFailed"`
}

// Wave is how many releases have the change when the wave is through: Count of them, or Percent of all.
// One of the two is positive.
type Wave struct{ Count, Percent int }

func (w Wave) String() string {
	if w.Percent > 0 {
		return strconv.Itoa(w.Percent) + "%"
	}
	return strconv.Itoa(w.Count)
}

// Sizes is how many of n releases have the change after each wave: ascending, at least 1, the last n.
// Percentages are rounded up; waves that add no release are left out. nil for no releases.
func (f FleetPolicy) Sizes(n int) (sizes []int) {
	if n <= 0 {
		return nil
	}
	last := 0
	for _, w := range f.Waves {
		size := w.Count
		if w.Percent > 0 {
			size = (n*w.Percent + 99) / 100
		}
		if size = min(size, n); size > last {
			sizes, last = append(sizes, size), size
		}
	}
	if last < n {
		sizes = append(sizes, n)
	}
	return sizes
}

// decodeNode takes numbers too: `1` is how people write a count.
func (w *Wave) decodeNode(d *decoder, n *yaml.Node, field string) {
	text, percent := strings.CutSuffix(n.Value, "%")
	value, err := strconv.Atoi(text)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil || value < 1:
		d.fault(n, `%s: %q is not a wave; write how many releases ("1") or which part of them ("10%%")`, field, n.Value)
	case percent && value > 100:
		d.fault(n, "%s: %q is more than 100%%", field, n.Value)
	case percent:
		w.Percent = value
	default:
		w.Count = value
	}
}

// checkFleet makes the last wave 100%.
func checkFleet(f *faultsOf, fleet *FleetPolicy) {
	if fleet.StopAfterFailed < 0 {
		f.add([]string{"fleet", "stopAfterFailed"}, "stopAfterFailed: %d is less than 0", fleet.StopAfterFailed)
	}
	if i := find(f.doc.spec, "fleet"); i >= 0 && f.doc.spec.Content[i+1].Kind == yaml.MappingNode && len(fleet.Waves) == 0 {
		f.add([]string{"fleet", "waves"}, `fleet has no waves; write such as waves: ["1", "10%%", "100%%"]`)
		return
	}
	for i := 1; i < len(fleet.Waves); i++ {
		before, w := fleet.Waves[i-1], fleet.Waves[i]
		field := []string{"fleet", "waves", strconv.Itoa(i)}
		switch {
		case before.Percent > 0 && w.Percent == 0:
			f.add(field, "wave %s is a count after the percentage %s; write counts first", w, before)
		case (before.Percent > 0) == (w.Percent > 0) && w.Count+w.Percent <= before.Count+before.Percent:
			f.add(field, "wave %s is not more than the one before, %s", w, before)
		}
	}
	if n := len(fleet.Waves); n > 0 && fleet.Waves[n-1].Percent != 100 {
		fleet.Waves = append(fleet.Waves, Wave{Percent: 100})
	}
}
