package cluster

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// FuzzPages: a page that is read into the memory of another is the same as one that is read alone.
func FuzzPages(f *testing.F) {
	f.Add([]byte(`{"metadata":{"continue":"x"},"items":[{"metadata":{"name":"a","labels":{"b":"c"}},"spec":{"pin":{"version":"v1"}},"status":{"phase":"Healthy","inventory":[{"kind":"Service"}]}},{}]}`),
		[]byte(`{"items":[{"metadata":{"name":"b"}},{"spec":{"release":"x"}}]}`))
	f.Add([]byte(`{"items":[{},{},{"status":{"outcomes":[{"version":"v1"}]}}]}`), []byte(`{"items":null,"items":[null,{"status":null}]}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var one, fresh pageReader
		one.text.Write(first)
		if page, err := one.decode(); err == nil {
			for i := range page.Items {
				mr := page.Items[i]
				received(&mr)
			}
		}
		one.text.Reset()
		one.text.Write(second)
		fresh.text.Write(second)
		got, err := one.decode()
		want, errFresh := fresh.decode()
		if (err == nil) != (errFresh == nil) || err == nil && !reflect.DeepEqual(emptied(got), emptied(want)) {
			t.Errorf("got %+v, %v; alone %+v, %v", got, err, want, errFresh)
		}
	})
}

// emptied makes one of no items and none at all.
func emptied(list *v1alpha1.ModelReleaseList) v1alpha1.ModelReleaseList {
	out := *list
	if len(out.Items) == 0 {
		out.Items = nil
	}
	return out
}

// FuzzHealth judges objects of any kind that say anything of themselves.
func FuzzHealth(f *testing.F) {
	kinds := []schema.GroupKind{kindHTTPRoute, kindAutoscaler, kindClaim, {Group: "external-secrets.io", Kind: "ExternalSecret"}, {Group: "example.com", Kind: "Widget"}}
	withPods := []func(*conditioned) Health{jobSetHealth, leaderWorkerHealth, inferenceHealth} // whose pods are looked at, too
	for i := range len(kinds) + len(withPods) {
		f.Add(uint8(i), []byte(`{"metadata":{"generation":2},"status":{"observedGeneration":2,"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-11-24T10:00:00Z"}],"phase":"Bound","parents":[{"conditions":[{"type":"Accepted","status":"False"}]}]}}`))
		f.Add(uint8(i), []byte(`{"status":{"conditions":[null],"parents":[{}],"phase":"Lost"},"spec":null}`))
	}
	f.Fuzz(func(t *testing.T, i uint8, body []byte) {
		v, object := view{now: time.Unix(1_790_000_000, 0)}, &tracked{name: "a", health: body}
		var got Health
		if n := int(i) % (len(kinds) + len(withPods)); n < len(kinds) {
			got = v.custom(kinds[n], object)
		} else {
			got = read(object, body, withPods[n-len(kinds)])
		}
		if !slices.Contains([]State{Ready, Progressing, Waiting, Failed}, got.State) || got.State != Ready && (got.Reason == "" || got.Message == "") {
			t.Errorf("%s is %+v", body, got)
		}
	})
}

// FuzzExpr asks any expression about any object: it is answered in bounded time, and what can't be is Waiting.
func FuzzExpr(f *testing.F) {
	f.Add("object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", []byte(`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`))
	f.Add("[1,2,3].all(x, [1,2,3].all(y, x+y > 0))", []byte(`{}`))
	f.Add("object.?status.?phase.orValue('') == 'x' || object.metadata.generation > 9223372036854775807", []byte(`{"metadata":{"generation":1e400}}`))
	f.Add("'a'.replace('a', 'aaaaaaaa').replace('a', 'aaaaaaaa').size() > 3", []byte(`[]`))
	f.Fuzz(func(t *testing.T, text string, body []byte) {
		began := time.Now()
		var e expressions
		got := e.judge(t.Context(), v1alpha1.ObjectRef{Group: "example.com", Version: "v1", Kind: "Widget", Name: "a"}, HealthExpr{Current: text}, &tracked{name: "a", health: body})
		if got.State != Ready && got.State != Waiting && got.State != Progressing {
			t.Errorf("%q is %+v", text, got)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%q takes %s", text, took)
		}
	})
}

// FuzzOwned follows paths through what the API server tells of a field's managers: who owns something below a field owns it
// as Kubernetes' own rules have it, whatever else is in there.
func FuzzOwned(f *testing.F) {
	f.Add([]byte(`{"f:spec":{"f:replicas":{},"f:containers":{"k:{\"name\":\"server\"}":{".":{},"f:image":{}}}}}`), "spec", "server", "image")
	f.Add([]byte(`{"f:spec":null,"k:{}":{},"k:x":1}`), "spec", "", "")
	f.Fuzz(func(t *testing.T, raw []byte, field, item, below string) {
		o := &metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "someone", FieldsV1: metav1.NewFieldsV1(string(raw))}}}
		path := []step{{field: field}, {item: map[string]any{"name": item}}, {field: below}}
		for _, who := range owners(o) {
			whole := owns(who.fields, path)
			if whole && !owns(who.fields, path[:2]) {
				t.Errorf("%s owns %v and not %v", raw, path, path[:2])
			}
			origin := Origin{Chain: []*metav1.PartialObjectMetadata{{ObjectMeta: *o}}}
			if within(who.fields, []string{field, item, below}) && !slices.Equal(origin.Setters([]string{field, item}), []string{"someone"}) {
				t.Errorf("%s sets %s.%s.%s and not what it is in", raw, field, item, below)
			}
		}
	})
}

// FuzzConflict reads what the API server says of a conflict, and of an answer that was not the model's.
func FuzzConflict(f *testing.F) {
	f.Add("FieldManagerConflict", `conflict with "kubectl" using v1`, ".spec.replicas", []byte(`{"kind":"Status","apiVersion":"v1"}`), 409)
	f.Add("FieldManagerConflict", `conflict with "davit"`, "", []byte("error trying to reach service"), 503)
	f.Fuzz(func(t *testing.T, kind, message, field string, body []byte, code int) {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Code: int32(code), Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: metav1.CauseType(kind), Message: message, Field: field}}}}}
		from, fields, is := contested(err)
		if is != (kind == string(metav1.CauseTypeFieldManagerConflict)) || slices.Contains(from, Manager) || len(from) > len(fields) {
			t.Errorf("%q of %q, %v", from, fields, is)
		}
		var own metav1.Status
		if answered(err, body) && (code == http.StatusTooManyRequests || json.Unmarshal(body, &own) == nil && own.Kind == "Status" && own.APIVersion == "v1") {
			t.Errorf("%d %q is taken for the model's answer", code, body)
		}
		if answered(errors.New(message), body) {
			t.Error("no answer is one")
		}
	})
}
