package reconciler_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/notify"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// inbox is a receiver of CloudEvents.
type inbox struct {
	mu   sync.Mutex
	all  []notify.CloudEvent
	deny int // the status it answers instead
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.deny != 0 {
		http.Error(w, "", i.deny)
		return
	}
	body, _ := io.ReadAll(req.Body)
	var e notify.CloudEvent
	if err := json.Unmarshal(body, &e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.all = append(i.all, e)
}

func (i *inbox) refuse(with int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.deny = with
}

// types lists the types of what came, with the versions.
func (i *inbox) types() (types []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range i.all {
		types = append(types, strings.TrimPrefix(e.Type, "dev.davit.")+" "+e.Data.Version)
	}
	return types
}

// TestNotifications: what comes of a release is sent once and in order, also over a restart, with reason and author and
// without what a container wrote; and a receiver that does not take it is told of in the ModelRegistry.
func TestNotifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	box := &inbox{}
	server := httptest.NewServer(box)
	defer server.Close()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bus"}, StringData: map[string]string{"url": server.URL + "/pl4nted-channel"}}
	if _, err := w.kubectl().CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.patch(registries, "models", map[string]any{"notifications": []any{map[string]any{
		"name": "bus", "kind": "CloudEvents", "secret": "bus", "states": []any{"Healthy", "Failed", "RolledBack", "Held"},
	}}})
	counts := metrics.New("test")
	counted := func(result string, n int) bool {
		scrape := httptest.NewRecorder()
		counts.Handler().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		line := fmt.Sprintf("davit_notifications_total{kind=\"CloudEvents\",registry=\"models\",result=%q} %d\n", result, n)
		return strings.Contains(scrape.Body.String(), line)
	}
	counting := func(c *reconciler.ControllerConfig) { c.Metrics = counts }
	stop := w.controller(namespace, counting)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v3") // its simulated pods crash
	w.until(production, "v1", v1alpha1.RolledBack)
	want := []string{"release.healthy v1", "release.failed v3", "release.rolledback v3"}
	w.eventually("sent", func() bool { return len(box.types()) >= len(want) })
	if got := box.types(); !slices.Equal(got, want) {
		t.Errorf("sent %v", got)
	}
	for _, e := range box.all {
		if e.Subject != production || e.Source != "/modelregistries/"+namespace+"/models" || e.Data.Author != "Ada <ada@example.com>" {
			t.Errorf("sent %+v", e)
		}
	}
	if failed := box.all[1].Data; !strings.Contains(failed.Text, "exited with code 1") || strings.Contains(failed.Text, "12 are wanted") || failed.From != "v1" {
		t.Errorf("sent %+v", failed)
	}
	w.eventually("counted as sent", func() bool { return counted("sent", 3) })
	stop()

	stop = w.controller(namespace, counting)
	box.refuse(http.StatusNotFound)
	w.promote("v3", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	notified := func(is metav1.ConditionStatus, text string) func() bool {
		return func() bool {
			c := meta.FindStatusCondition(w.modelRegistry(registries).Status.Conditions, v1alpha1.ConditionNotified)
			return c != nil && c.Status == is && strings.Contains(c.Message, text) && !strings.Contains(c.Message, "pl4nted")
		}
	}
	w.eventually("told", notified(metav1.ConditionFalse, "bus: the receiver answered 404 Not Found"))
	w.eventually("an Event", func() bool { return w.registryEvent(namespace, "NotDelivered") })
	w.eventually("counted as dropped", func() bool { return counted("dropped", 1) })
	box.refuse(0)
	stop()
	stop = w.controller(namespace, counting)
	w.eventually("followed by the next process", func() bool {
		c := meta.FindStatusCondition(w.modelRegistry(registries).Status.Conditions, v1alpha1.ConditionNotified)
		return c != nil && strings.Contains(c.Message, "what it was sent last was not taken")
	})
	w.damage("v1")
	w.promote("v2", "v1")
	want = append(want, "release.held v1") // and nothing again
	w.eventually("sent", func() bool { return len(box.types()) >= len(want) })
	if got := box.types(); !slices.Equal(got, want) {
		t.Errorf("sent %v", got)
	}
	w.eventually("told that it goes on", notified(metav1.ConditionTrue, ""))
	w.eventually("an Event", func() bool { return w.registryEvent(namespace, v1alpha1.ConditionNotified) })
	stop()
}
