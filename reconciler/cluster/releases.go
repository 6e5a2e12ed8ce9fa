package cluster

import (
	"bytes"
	"context"
	"fmt"
	"unique"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// pageSize bounds the memory of a list: 10,000 releases in one answer take three times as much.
const pageSize = 500

// Releases reads all ModelReleases of the Config's namespaces, without managedFields.
func (c *Cluster) Releases(ctx context.Context) ([]*v1alpha1.ModelRelease, error) {
	return c.releasesBy(ctx, pageSize)
}

func (c *Cluster) releasesBy(ctx context.Context, size int) ([]*v1alpha1.ModelRelease, error) {
	var all []*v1alpha1.ModelRelease
	var pages pageReader
	for _, namespace := range c.namespaces {
		for next := ""; ; {
			page, err := pages.read(ctx, c.releases.Get().NamespaceIfScoped(namespace, namespace != "").Resource(v1alpha1.Resource).
				Param("limit", fmt.Sprint(size)).Param("continue", next))
			if err != nil {
				return nil, fmt.Errorf("listing ModelReleases: %w", err)
			}
			for i := range page.Items {
				mr := page.Items[i]
				all = append(all, received(&mr))
			}
			if next = page.Continue; next == "" {
				break
			}
		}
	}
	return all, nil
}

// pageReader reads one page after the other into the same memory. Into new memory each time, as Do does, which looks for
// the kind in it too, ten thousand releases took four times as many bytes.
type pageReader struct {
	text bytes.Buffer
	list v1alpha1.ModelReleaseList
}

// read gives a page that is good until the next one is read.
func (p *pageReader) read(ctx context.Context, req *rest.Request) (*v1alpha1.ModelReleaseList, error) {
	body, err := req.Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	p.text.Reset()
	if _, err := p.text.ReadFrom(body); err != nil {
		return nil, err
	}
	return p.decode()
}

// decode reads the page that is in text.
func (p *pageReader) decode() (*v1alpha1.ModelReleaseList, error) {
	items := p.list.Items[:cap(p.list.Items)]
	clear(items) // or what a release lacks would be its predecessor's
	p.list = v1alpha1.ModelReleaseList{Items: items[:0]}
	return &p.list, json.Unmarshal(p.text.Bytes(), &p.list)
}

// Release reads one ModelRelease; nil when there is none.
func (c *Cluster) Release(ctx context.Context, namespace, env, name string) (*v1alpha1.ModelRelease, error) {
	full := v1alpha1.Name(env, name)
	mr := &v1alpha1.ModelRelease{}
	err := c.releases.Get().Namespace(namespace).Resource(v1alpha1.Resource).Name(full).Do(ctx).Into(mr)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ModelRelease %s/%s: %w", namespace, full, err)
	}
	return received(mr), nil
}

// Generation is that of mr's spec by the watch; zero while it has not shown mr.
func (w *Watcher) Generation(mr *v1alpha1.ModelRelease) int64 {
	k := w.kind(kindRelease)
	k.mu.Lock()
	defer k.mu.Unlock()
	informer := k.of(mr.Namespace)
	if informer == nil {
		return 0
	}
	if t := stored(informer, mr.Namespace+"/"+mr.Name); t != nil {
		return t.generation
	}
	return 0
}

// received drops what nobody reads and shares what ten thousand ModelReleases have in common: decoded, each would hold
// its own copy of "Deployment", and of a commit as often as it tells of it. What is one release's own is shared within
// it alone: an entry of a table of all costs more than a second copy.
func received(mr *v1alpha1.ModelRelease) *v1alpha1.ModelRelease {
	mr.ManagedFields = nil
	spec, st := &mr.Spec, &mr.Status
	share(&mr.APIVersion, &mr.Kind, &mr.Namespace, &spec.Environment, &spec.Owner, &spec.Claim.Commit, &spec.Claim.Version, &spec.Claim.Holder, &st.Reason, &st.Revision, &st.Author, &st.Model)
	st.Phase = shared(st.Phase)
	for _, r := range []*v1alpha1.Revision{&st.Applied, &st.Healthy} {
		share(&r.Commit, &r.Version, &r.Image)
	}
	reuse(&st.Healthy.ObjectsHash, st.Applied.ObjectsHash)
	reuse(&st.Healthy.InputKey, st.Applied.InputKey)
	for i := range st.Outcomes {
		o := &st.Outcomes[i]
		share(&o.Commit, &o.Version, &o.Image, &o.From)
		o.Outcome = shared(o.Outcome)
		reuse(&o.InputKey, st.Applied.InputKey, st.Healthy.InputKey)
	}
	for i := range st.Inventory {
		r := &st.Inventory[i]
		share(&r.Group, &r.Version, &r.Kind)
		reuse(&r.Name, spec.Release)
	}
	for i := range st.Conditions {
		c := &st.Conditions[i]
		share(&c.Type, &c.Reason)
		reuse(&c.Message, st.Message)
		c.Status = shared(c.Status)
	}
	for _, m := range []map[string]string{mr.Labels, mr.Annotations} {
		for k, v := range m {
			switch k {
			case applySetID:
			case LabelRelease:
				reuse(&v, spec.Release)
			default:
				share(&v)
			}
			delete(m, k)
			m[shared(k)] = v
		}
	}
	return mr
}

// reuse takes the copy of a text that its release has already.
func reuse(text *string, copies ...string) {
	for _, c := range copies {
		if *text == c {
			*text = c
			return
		}
	}
}

func share(texts ...*string) {
	for _, s := range texts {
		*s = shared(*s)
	}
}

func shared[S ~string](s S) S { return unique.Make(s).Value() }

// send writes mr by verb to its URL, or to a subresource.
func (c *Cluster) send(ctx context.Context, req *rest.Request, mr *v1alpha1.ModelRelease) (*v1alpha1.ModelRelease, error) {
	mr.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	out := &v1alpha1.ModelRelease{}
	err := c.write(ctx, func() error {
		return req.Namespace(mr.Namespace).Resource(v1alpha1.Resource).Param("fieldManager", Manager).
			Body(mr).Do(ctx).Into(out)
	})
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if err != nil {
		return nil, err
	}
	return received(out), nil
}
