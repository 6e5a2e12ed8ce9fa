package catalog

import (
	"fmt"
	"path"
	"slices"

	"github.com/davit-dev/davit/registry"
)

// Accelerator is a kind of GPU of the catalog.
type Accelerator struct {
	Name  string
	About string
	// Counts is what is counted by a Serving's gpus: the extended resource, or the claim.
	Counts string
	// Feature is what an environment must declare to use it; empty when nothing.
	Feature string
}

// Accelerators are all of the catalog, ordered by name.
func Accelerators() []Accelerator {
	const nvidia = "nvidia.com/gpu"
	return []Accelerator{
		{Name: "a100", About: "NVIDIA A100 SXM, 80 GB", Counts: nvidia},
		{Name: "h100", About: "NVIDIA H100 SXM, 80 GB", Counts: nvidia},
		{Name: "h100-dra", About: "NVIDIA H100, claimed from its DRA driver", Counts: "claim gpu", Feature: registry.DRA},
		{Name: "l4", About: "NVIDIA L4, 24 GB", Counts: nvidia},
		{Name: "mi300x", About: "AMD Instinct MI300X, 192 GB", Counts: "amd.com/gpu"},
		{Name: "mig-1g.10gb", About: "a slice of 10 GB of an NVIDIA GPU with 80 GB", Counts: "nvidia.com/mig-1g.10gb"},
		{Name: "mig-3g.40gb", About: "a slice of 40 GB of an NVIDIA GPU with 80 GB", Counts: "nvidia.com/mig-3g.40gb"},
		{Name: "nvidia", About: "any NVIDIA GPU", Counts: nvidia},
	}
}

// FindAccelerator returns the accelerator of that name.
func FindAccelerator(name string) (Accelerator, error) {
	all := Accelerators()
	i := slices.IndexFunc(all, func(a Accelerator) bool { return a.Name == name })
	if i < 0 {
		return Accelerator{}, fmt.Errorf("no accelerator %q in the catalog (have %s)", name, names(all, func(a Accelerator) string { return a.Name }))
	}
	return all[i], nil
}

// Files are the accelerator's folder, by the path in it.
func (a Accelerator) Files() map[string][]byte { return tree(path.Join("accelerators", a.Name)) }
