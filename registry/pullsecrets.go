package registry

import (
	"slices"
	"strings"
)

// PullSecrets are the Secrets that pods of the environment name as imagePullSecrets, each once: those of its file, then
// those that were granted.
func (e *Environment) PullSecrets() []string {
	names := slices.Clone(e.Spec.PullSecrets)
	for _, name := range e.granted {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// withPullSecrets is e, or another one whose pods name more Secrets. Its digest covers them, so that what is to be
// rendered anew is known by its input key; without any nothing differs.
func (e *Environment) withPullSecrets(names []string) *Environment {
	names = slices.Sorted(slices.Values(names))
	if slices.Equal(names, e.granted) {
		return e
	}
	granted := *e
	granted.granted = names
	granted.digest = e.digest.and([]byte("pull secrets " + strings.Join(granted.granted, " ")))
	return &granted
}

// WithPullSecrets is the release in an environment that was granted pull secrets beside those of its file. r, which may be
// nil, is not changed.
func (r *Release) WithPullSecrets(names []string) *Release {
	if r == nil || len(names) == 0 {
		return r
	}
	granted := *r
	granted.Environment = r.Environment.withPullSecrets(names)
	return &granted
}

// WithPullSecrets is the training in an environment that was granted them, as of [Release].
func (t *Training) WithPullSecrets(names []string) *Training {
	if len(names) == 0 || t.Environment == nil {
		return t
	}
	granted := *t
	granted.Environment = t.Environment.withPullSecrets(names)
	return &granted
}

func checkPullSecrets(f *faultsOf, names []string) {
	for i, name := range names {
		switch {
		case !objectName.ok(name):
			f.add([]string{"pullSecrets"}, "pull secret %q is not %s", name, objectName.text)
		case slices.Contains(names[:i], name):
			f.add([]string{"pullSecrets"}, "pull secret %q is named twice; once will do", name)
		}
	}
}
