package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// gates holds a release that is promoted against its gates.
func (c *comparison) gates(p *pair) error {
	if p.was != nil && p.Model == nil && p.From == p.To {
		return nil
	}
	facts := c.facts(p.is)
	if facts.Serving == nil && p.was != nil {
		facts.Serving = p.was.ModelVersion
	}
	found, err := gate.Check(c.after.FS(), p.is, facts)
	if err != nil {
		return fmt.Errorf("checking the gates of %s: %w", p.Release.Release, err)
	}
	for _, f := range append(found, c.signed(p.is)...) {
		p.findings = append(p.findings, Finding{
			Level: levelOf(f.State), Kind: KindGate, Environment: p.is.Environment.Name, Release: p.Release.Release,
			Gate: f.Gate, State: f.State, Message: f.Message, Until: f.Until,
		})
	}
	return c.loosened(p, facts, found)
}

// signed is the gate of a model image's signature.
func (c *comparison) signed(r *registry.Release) []gate.Finding {
	wants := r.Environment.Spec.Images
	if len(wants.Keys) == 0 {
		return nil
	}
	f := gate.Finding{Gate: "images/signature", State: gate.Unknown,
		Message: fmt.Sprintf("the image of %s must be signed by a key of images.keys; davit plan --images asks the OCI registry, and it is checked before anything is applied", r.ModelVersion)}
	if wants.Provenance {
		f.Gate = "images/provenance"
	}
	if c.Signed != nil {
		f.State, f.Message = c.Signed(r)
	}
	return []gate.Finding{f}
}

func (c *comparison) facts(r *registry.Release) gate.Facts {
	if c.Facts == nil {
		return gate.Facts{Now: c.Now}
	}
	return c.Facts(r)
}

func levelOf(s gate.State) Level {
	switch s {
	case gate.Failed:
		return Blocks
	case gate.Waiting:
		return Waits
	case gate.Unknown:
		return Later
	}
	return Holds
}

// loosened tells of gates that a release passes only because the same change changes them.
func (c *comparison) loosened(p *pair, facts gate.Facts, found []gate.Finding) error {
	env, model := c.before.Environments[p.is.Environment.Name], c.before.Models[p.is.Model.Name]
	if env == nil {
		return nil
	}
	old := *p.is
	old.Environment = env
	if model != nil {
		m := *p.is.Model
		m.Spec.Gates = model.Spec.Gates
		old.Model = &m
	}
	before, err := gate.Check(c.after.FS(), &old, facts)
	if err != nil {
		return fmt.Errorf("checking the gates of %s as they were: %w", p.Release.Release, err)
	}
	for _, f := range before {
		stays := slices.ContainsFunc(found, func(now gate.Finding) bool { return now.Gate == f.Gate && now.State == f.State })
		if (f.State == gate.Failed || f.State == gate.Waiting) && !stays {
			p.findings = append(p.findings, Finding{
				Level: Look, Kind: KindGate, Environment: env.Name, Release: p.Release.Release, Gate: f.Gate, State: f.State,
				Message: "by the gates as they are without this change it does not pass: " + strings.TrimSuffix(f.Message, "; promote another version"),
			})
		}
	}
	return nil
}
