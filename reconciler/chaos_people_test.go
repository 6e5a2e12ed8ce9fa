package reconciler_test

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// rewrite sets the branch back, or forth again, or has davit accept that. Only what is settled is set back: else nobody can
// say what davit saw.
func (p *play) rewrite(verb, back string) error {
	if err := p.settle(); err != nil || !p.clean {
		return err
	}
	switch verb {
	case "reset":
		if p.m.rewritten() || !p.has(back) || count(back) == 0 {
			return nil
		}
		p.forced = p.m.tip
		p.git("reset", "-q", "--hard", "HEAD~"+back)
	case "restore":
		if !p.m.rewritten() || p.forced == "" {
			return nil
		}
		p.git("reset", "-q", "--hard", p.forced)
	case "accept":
		if !p.m.rewritten() || !p.up() {
			return nil
		}
		if err := p.stop(); err != nil {
			return err
		}
		p.accept = gitops.ParseHash(p.m.tip)
		if err := p.start(); err != nil {
			return err
		}
		p.m.accept()
	}
	p.took()
	return p.settle()
}

// asked does what people ask of a release by its ModelRelease, once all is settled.
func (p *play) asked(verb string, args []string) error {
	if err := p.settle(); err != nil || !p.up() {
		return err
	}
	key := arg(args, 0)
	env, name, _ := strings.Cut(key, "/")
	mr, err := p.cluster.Release(p.t.Context(), p.namespace(env), env, name)
	if err != nil || mr == nil {
		return err
	}
	var pin *v1alpha1.Pin
	switch verb {
	case "pin":
		if !p.has(arg(args, 1)) {
			return nil
		}
		pin = &v1alpha1.Pin{
			Commit: p.git("rev-parse", "HEAD~"+strconv.Itoa(count(arg(args, 1)))), Version: arg(args, 2), Tip: p.m.followed[env], By: "ada", At: metav1.NowMicro(),
		}
	case "forget":
		if err := p.told(); err != nil {
			return err
		}
		if err := p.dynamic().Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(p.namespace(env)).Delete(p.t.Context(), mr.Name, deleteNow); err != nil {
			return err
		}
		p.m.forget(key)
		return p.settle()
	}
	err = p.cluster.Ask(p.t.Context(), mr, func(s *v1alpha1.ModelReleaseSpec) {
		switch verb {
		case "pin":
			s.Pin = pin
		case "suspend":
			s.Suspend = &v1alpha1.Suspend{By: "ada"}
		case "unsuspend":
			s.Suspend = nil
		case "resume":
			s.Pin, s.Suspend, s.Request = nil, nil, &v1alpha1.Request{Action: v1alpha1.Resume, At: metav1.NowMicro(), By: "ada"}
		}
	})
	if err != nil {
		return err
	}
	var chosen *pinned
	if pin != nil {
		known := pin.Commit == mr.Status.Applied.Commit || pin.Commit == mr.Status.Healthy.Commit
		chosen = &pinned{commit: pin.Commit, version: pin.Version, tip: pin.Tip, known: known}
	}
	p.m.asked(key, verb, chosen)
	return p.settle()
}

// mostEdits of a release are undone at once; from then on davit takes it for a fight, and waits.
const mostEdits = 3

// touched does what people do to objects.
func (p *play) touched(verb string, args []string) error {
	key, what := arg(args, 0), arg(args, 1)
	env, name, _ := strings.Cut(key, "/")
	ctx, namespace := p.t.Context(), p.namespace(env)
	switch verb {
	case "stranger", "stray":
		labels := map[string]string{}
		if verb == "stray" {
			mr, err := p.cluster.Release(ctx, namespace, env, name)
			if err != nil || mr == nil {
				return err
			}
			labels["davit.dev/release"], labels["applyset.kubernetes.io/part-of"] = name, mr.Labels["applyset.kubernetes.io/id"]
		}
		config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: what, Labels: labels}}
		_, err := p.kubectl().CoreV1().ConfigMaps(namespace).Create(ctx, config, metav1.CreateOptions{})
		if err == nil {
			p.beside[env+" ConfigMap "+what] = verb == "stranger"
		}
		if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
			err = nil
		}
		return err
	}
	for _, s := range p.m.ways(key) {
		if !s.there || s.healthy == nil || s.suspended && !p.clean || s.pin != nil && s.pin.failed != nil {
			return nil
		}
	}
	if p.fights[key]++; p.fights[key] > mostEdits {
		return nil
	}
	var err error
	switch {
	case verb == "edit":
		patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, count(what))
		_, err = p.kubectl().AppsV1().Deployments(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
	case what == "service":
		err = p.kubectl().CoreV1().Services(namespace).Delete(ctx, name, deleteNow)
	case what == "deployment":
		err = p.kubectl().AppsV1().Deployments(namespace).Delete(ctx, name, deleteNow)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	p.m.touched(key, verb, what)
	return err
}
