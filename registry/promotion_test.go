package registry_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/davit-dev/davit/registry"
)

// TestPolicyIsNoInput edits an environment's file: what objects are made of moves the keys, a policy does not.
func TestPolicyIsNoInput(t *testing.T) {
	for _, component := range []bool{false, true} {
		keyWith := func(field string) string {
			fsys := base(t)
			name := "environments/production/environment.yaml"
			if component {
				fsys["environments/production/kustomization.yaml"] = &fstest.MapFile{Data: []byte("kind: Component\n")}
			}
			fsys[name] = &fstest.MapFile{Data: append([]byte(strings.TrimRight(string(fsys[name].Data), "\n")), field...)}
			reg, err := registry.Load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			r := reg.Release(registry.Key{Environment: "production", Name: "iris"})
			if r == nil {
				t.Fatalf("%s: %v", field, reg.Faults)
			}
			key, err := r.InputKey(fsys)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		was := keyWith("\n")
		for field, moves := range map[string]bool{
			"\n  gates: {metrics: {auc: {min: 0.9}}}\n":                                    false,
			"\n  freeze: [{name: x, schedule: '0 0 1 1 *', duration: 24h}]\n":              false,
			"\n  quota: {gpus: 3}\n  autoMerge: true\n":                                    false,
			"\n  promote: {from: staging, healthyFor: 24h}\n\n":                            false,
			"\n  serving: {disruptionBudget: true}\n":                                      true,
			"\n  modelLoader: {image: 'a@sha256:" + strings.Repeat("0", 64) + "'}\n":       true,
			"\n  healthCheckExprs: []\n  # written\n":                                      true, // whatever is not a policy
			"\n  publisher: {image: 'a@sha256:" + strings.Repeat("0", 64) + "'}\n":         false,
			"\n  roles: {risk: [ssh-ed25519 " + testKey + "]}\n  drift: report\n":          false,
			"\n  fleet: {waves: ['1', '100%']}\n  prune: {maxDeletions: 4}\n  # nothing\n": false,
		} {
			if got := keyWith(field) != was; got != moves {
				t.Errorf("component %v, %q: moves the key: %v, want %v", component, field, got, moves)
			}
		}
	}
}

const testKey = "AAAAC3NzaC1lZDI1NTE5AAAAIG7vyOtPrZEEQV0/2UCTtnXcmiVxHV+lRkrOSxDuNhxU"

func TestFreezeIsActive(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	quarter := registry.Freeze{Name: "quarter end", Schedule: "0 18 28 3,6,9,12 *", Duration: registry.Duration(96 * time.Hour), Timezone: "Europe/Berlin"}
	once := registry.Freeze{Name: "move", From: registry.Moment{Time: at("2026-05-01T00:00:00Z")}, Until: registry.Moment{Time: at("2026-05-02T00:00:00Z")}}
	nightly := registry.Freeze{Name: "always", Schedule: "0 0 * * *", Duration: registry.Duration(30 * time.Hour)}
	for _, c := range []struct {
		freeze registry.Freeze
		now    string
		until  string // "" when it does not hold
	}{
		{quarter, "2026-03-28T16:59:59Z", ""},
		{quarter, "2026-03-28T17:00:00Z", "2026-04-01T17:00:00Z"}, // 96 hours, though the clocks change between
		{quarter, "2026-04-01T16:59:59Z", "2026-04-01T17:00:00Z"},
		{quarter, "2026-04-01T17:00:00Z", ""},
		{quarter, "2026-06-28T15:59:59Z", ""}, // summer
		{quarter, "2026-06-28T16:00:00Z", "2026-07-02T16:00:00Z"},
		{once, "2026-04-30T23:59:59Z", ""},
		{once, "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"},
		{once, "2026-05-02T00:00:00Z", ""},
		{nightly, "2026-05-02T03:00:00Z", "2026-08-09T06:00:00Z"}, // windows that overlap are joined, up to a bound
	} {
		until, frozen := c.freeze.Active(at(c.now))
		if frozen != (c.until != "") || frozen && !until.Equal(at(c.until)) {
			t.Errorf("%s at %s: frozen %v until %v, want %q", c.freeze.Name, c.now, frozen, until.UTC(), c.until)
		}
	}
}

func TestPolicyAndIsTheStricter(t *testing.T) {
	f := func(x float64) *float64 { return &x }
	a := registry.Policy{
		Gates: registry.Gates{Metrics: map[string]registry.MetricGate{"auc": {Min: f(0.9), MaxDropFromServing: f(0.01)}}, Approvals: map[string]int{"risk": 1}, Evidence: []string{"card"}},
		Roles: map[string][]string{"risk": {"ssh-ed25519 " + testKey + " anna", "ssh-ed25519 other"}, "owner": {"x"}}, Quota: registry.Quota{GPUs: 8, Teams: map[string]int{"a": 9}}, AutoMerge: true,
	}
	b := registry.Policy{
		Gates: registry.Gates{Metrics: map[string]registry.MetricGate{"auc": {Min: f(0.95), Max: f(1)}, "loss": {Max: f(2)}}, Approvals: map[string]int{"risk": 2, "legal": 1},
			HealthyIn: map[string]registry.Duration{"staging": registry.Duration(time.Hour)}, Evidence: []string{"card", "report"}},
		Roles: map[string][]string{"risk": {"ssh-ed25519 " + testKey + " the same key"}}, Quota: registry.Quota{PerTeam: 4},
	}
	for _, p := range []registry.Policy{a.And(b), b.And(a)} {
		auc := p.Gates.Metrics["auc"]
		if *auc.Min != 0.95 || *auc.Max != 1 || *auc.MaxDropFromServing != 0.01 || *p.Gates.Metrics["loss"].Max != 2 {
			t.Errorf("metrics: %+v", p.Gates.Metrics)
		}
		if p.Gates.Approvals["risk"] != 2 || p.Gates.Approvals["legal"] != 1 || p.Gates.HealthyIn["staging"] != registry.Duration(time.Hour) || len(p.Gates.Evidence) != 2 {
			t.Errorf("gates: %+v", p.Gates)
		}
		if len(p.Roles["risk"]) != 1 || !strings.Contains(p.Roles["risk"][0], testKey) || len(p.Roles["owner"]) != 1 {
			t.Errorf("roles: %v", p.Roles)
		}
		if team, _ := p.Quota.Of("a"); p.Quota.GPUs != 8 || p.Quota.PerTeam != 4 || team != 4 || p.AutoMerge {
			t.Errorf("quota: %+v, autoMerge %v", p.Quota, p.AutoMerge)
		}
	}
	if p := a.And(registry.Strict()); !p.AutoMerge || p.Quota.GPUs != 8 || len(p.Roles["risk"]) != 2 {
		t.Errorf("with nothing to lower: %+v", p)
	}
}
