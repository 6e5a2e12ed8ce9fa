package reconciler

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// place writes down where the environments are, before anything is applied there, and returns the places they moved
// away from.
//
// copies are the pull secrets of each environment that stay on record although no grant asks for them.
func (cfg ControllerConfig) place(ctx context.Context, mr *v1alpha1.ModelRegistry, copies map[string][]string) (left []v1alpha1.EnvironmentPlace, err error) {
	err = cfg.Cluster.WriteRegistryStatus(ctx, mr, func(live *v1alpha1.ModelRegistry) {
		left = nil
		kept := live.Status.Places[:0:0]
		for _, old := range live.Status.Places {
			if cfg.mine(old.Environment) {
				old.PullSecrets = copies[old.Environment]
			}
			i := slices.IndexFunc(mr.Spec.Environments, func(g v1alpha1.EnvironmentGrant) bool { return g.Name == old.Environment })
			switch {
			case i < 0 || !cfg.mine(old.Environment): // not granted any more, or another controller's
				kept = append(kept, old)
			default:
				if old = less(old, mr.Spec.Environments[i]); len(old.Namespaces) > 0 {
					kept, left = append(kept, old), append(left, old)
				}
			}
		}
		for _, g := range mr.Spec.Environments {
			if cfg.mine(g.Name) {
				kept = append(kept, v1alpha1.EnvironmentPlace{
					Environment: g.Name, Cluster: g.Cluster, Namespaces: g.Namespaces, ServiceAccount: g.ServiceAccount, PullSecrets: g.PullSecrets,
				})
			}
		}
		live.Status.Places = kept
	})
	if err != nil {
		return nil, fmt.Errorf("recording where the environments are: %w", err)
	}
	return left, nil
}

// less is what of a place a grant no longer has.
func less(old v1alpha1.EnvironmentPlace, g v1alpha1.EnvironmentGrant) v1alpha1.EnvironmentPlace {
	if reflect.DeepEqual(old.Cluster, g.Cluster) {
		old.Namespaces = slices.DeleteFunc(slices.Clone(old.Namespaces), func(name string) bool { return slices.Contains(g.Namespaces, name) })
	}
	return old
}

// former turns places that environments left into clients. One whose Secret is gone is told and kept on record.
func (cfg ControllerConfig) former(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, left []v1alpha1.EnvironmentPlace) (out []Former) {
	for _, old := range left {
		grant, err := cfg.grant(ctx, mr, v1alpha1.EnvironmentGrant{
			Name: old.Environment, Cluster: old.Cluster, Namespaces: old.Namespaces, ServiceAccount: old.ServiceAccount,
		}, owner(mr))
		if err != nil {
			log.Error("releases may be left where an environment was", "environment", old.Environment, "namespaces", old.Namespaces, "error", err)
			continue
		}
		out = append(out, Former{Environment: old.Environment, Cluster: grant.Cluster, Left: func() {
			cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) {
				st.Places = slices.DeleteFunc(st.Places, func(p v1alpha1.EnvironmentPlace) bool { return reflect.DeepEqual(p, old) })
			})
		}})
	}
	return out
}

func (cfg ControllerConfig) mine(environment string) bool {
	return len(cfg.Only) == 0 || slices.Contains(cfg.Only, environment)
}
