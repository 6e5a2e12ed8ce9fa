package reconciler_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// live is what a cluster shows of a release.
type live struct {
	*v1alpha1.ModelRelease
	objects []string
}

func (l live) line() string {
	if l.ModelRelease == nil {
		return "not there"
	}
	st := l.Status
	text := string(st.Phase)
	if st.Healthy.Commit != "" {
		text += ", was healthy at " + st.Healthy.Version
	}
	if st.Held != nil {
		why, _, _ := strings.Cut(st.Held.Reason, ":")
		if strings.HasSuffix(why, "by its outcome in Git") {
			why = "what Git tells"
		}
		text += fmt.Sprintf(", %s is held by %s", st.Held.Version, why)
	}
	if l.Spec.Pin != nil {
		text += ", pinned"
	}
	if l.Spec.Suspend != nil {
		text += ", suspended"
	}
	return text
}

// told is what davit tells people of it.
func (l live) told() string {
	if l.ModelRelease == nil || l.Status.Message == "" {
		return ""
	}
	return fmt.Sprintf("\n    (%s: %s)", l.Status.Reason, l.Status.Message)
}

// pending says that davit has not come to rest with a release.
func (l live) pending() bool {
	return l.ModelRelease != nil && (l.Pending() || l.Status.ObservedGeneration != l.Generation)
}

// look reads what there is of each release, and what there is beside.
func (p *play) look() (map[string]live, error) {
	ctx, all := p.t.Context(), map[string]live{}
	keys := p.m.keys()
	for _, key := range keys {
		env, name, _ := strings.Cut(key, "/")
		mr, err := p.cluster.Release(ctx, p.namespace(env), env, name)
		if err != nil {
			return nil, err
		}
		all[key] = live{ModelRelease: mr}
	}
	for _, env := range environments {
		objects, err := p.objects(p.namespace(env))
		if err != nil {
			return nil, err
		}
		for name, lines := range objects {
			key := env + "/" + name
			for _, line := range lines {
				if _, beside := p.beside[env+" "+line]; !beside {
					all[key] = live{all[key].ModelRelease, append(all[key].objects, line)}
				} else {
					all["beside"] = live{nil, append(all["beside"].objects, env+" "+line)}
				}
			}
		}
	}
	return all, nil
}

// objects are those of a namespace, by the release that their names tell of.
func (p *play) objects(namespace string) (map[string][]string, error) {
	ctx, all := p.t.Context(), map[string][]string{}
	deployments, err := p.kubectl().AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, d := range deployments.Items {
		spec := d.Spec.Template.Spec
		line := deployment(d.Name, d.Spec.Template.Labels["davit.dev/version"], int(*d.Spec.Replicas), int(*spec.TerminationGracePeriodSeconds), found(d.Annotations["example.com/tier"], `tier: (\w+)`))
		for _, v := range spec.Volumes {
			if v.Image != nil {
				if version := d.Spec.Template.Labels["davit.dev/version"]; cmp.Or(p.images[version], v.Image.Reference) != v.Image.Reference {
					line += ", which is another image than before"
				} else {
					p.images[version] = v.Image.Reference
				}
			}
		}
		all[d.Name] = append(all[d.Name], line)
	}
	services, err := p.kubectl().CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, s := range services.Items {
		all[s.Name] = append(all[s.Name], "Service "+s.Name)
	}
	configs, err := p.kubectl().CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, c := range configs.Items {
		if name := strings.TrimSuffix(c.Name, "-settings"); c.Name != "kube-root-ca.crt" {
			all[name] = append(all[name], "ConfigMap "+c.Name)
		}
	}
	for name := range all {
		slices.Sort(all[name])
	}
	return all, nil
}
