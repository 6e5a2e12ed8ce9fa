package reconciler_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// dockerConfig is a Secret that pulls from a registry.
func dockerConfig(name, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{"oci.example.com":{"username":"davit","password":"` + password + `"}}}`},
	}
}

// copied is the password in a copy of a pull secret; empty without one.
func (w *world) copied(name string) string {
	secret, err := w.kubectl().CoreV1().Secrets(w.namespace("production")).Get(w.t.Context(), name, get)
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(secret.Data[corev1.DockerConfigJsonKey]), `"password":"`)
	password, _, _ := strings.Cut(rest, `"`)
	return password
}

func (w *world) pullsWith() (names []string) {
	for _, ref := range w.deployment("iris").Spec.Template.Spec.ImagePullSecrets {
		names = append(names, ref.Name)
	}
	slices.Sort(names)
	return names
}

// TestPullSecrets: granted Secrets are copied to where the pods are, named by them, kept up to date, and removed with the
// grant; another's Secret of the name is left.
func TestPullSecrets(t *testing.T) {
	w := newWorld(t)
	namespace, place := w.id+"-davit", w.namespace("production")
	w.edit("environments/production/environment.yaml", "spec:\n", "spec:\n  pullSecrets: [of-their-own]\n")
	w.commit("a pull secret of the environment's own")
	w.namespaces(place)
	grant := func(names string) []byte {
		return []byte(`{"spec":{"environments":[{"name":"production","namespaces":["` + place + `"],"pullSecrets":[` + names + `]}]}}`)
	}
	registries := w.register(namespace, v1alpha1.ModelRegistrySpec{Environments: []v1alpha1.EnvironmentGrant{
		{Name: "production", Namespaces: []string{place}},
	}})
	w.putSecret(namespace, dockerConfig("granted", "pl4nted-pull-1"))
	w.putSecret(namespace, dockerConfig("taken", "pl4nted-pull-1"))
	w.putSecret(place, dockerConfig("taken", "somebody's"))
	w.controlled(namespace)
	w.until(production, "v1", v1alpha1.Healthy)
	if got := w.pullsWith(); !slices.Equal(got, []string{"of-their-own"}) {
		t.Fatalf("pods pull with %v", got)
	}
	patch := func(names string) {
		t.Helper()
		if _, err := registries.Patch(t.Context(), "models", "application/merge-patch+json", grant(names), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`"granted"`)
	w.eventually("copied", func() bool { return w.copied("granted") == "pl4nted-pull-1" })
	w.eventually("named", func() bool { return slices.Equal(w.pullsWith(), []string{"granted", "of-their-own"}) })
	w.settled("production")
	was := w.deployment("iris").Generation

	// Another content goes at once, not with the next comparison, and no pod rolls for it.
	var took time.Duration
	for _, password := range []string{"pl4nted-pull-2", "pl4nted-pull-3", "pl4nted-pull-4"} { // the machine may stand still for one
		w.putSecret(namespace, dockerConfig("granted", password))
		began := time.Now()
		w.eventually("up to date", func() bool { return w.copied("granted") == password })
		if took = time.Since(began); took < 15*time.Second {
			break
		}
	}
	if took > 15*time.Second {
		t.Errorf("copied %s after the Secret changed", took)
	}
	patch(`"granted", "taken"`)
	w.eventually("told of the one that is another's", func() bool {
		mr, _ := w.registry(registries)
		i := slices.IndexFunc(mr.Status.Conditions, func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionPullSecrets })
		return i >= 0 && mr.Status.Conditions[i].Status == metav1.ConditionFalse &&
			strings.Contains(mr.Status.Conditions[i].Message, "no copy of davit's; delete or rename it, or take the name out")
	})
	if w.copied("taken") != "somebody's" {
		t.Error("another's Secret was written")
	}
	if now := w.deployment("iris").Generation; now != was {
		t.Errorf("generation %d, was %d", now, was)
	}
	patch("")
	w.eventually("removed", func() bool { return w.copied("granted") == "" })
	w.eventually("not named", func() bool { return slices.Equal(w.pullsWith(), []string{"of-their-own"}) })

	// A ModelRegistry that takes its releases with it leaves no credentials behind.
	patch(`"granted"`)
	w.eventually("copied again", func() bool { return w.copied("granted") != "" })
	w.patchRaw(registries, `{"spec":{"deletionPolicy":"Delete"}}`)
	w.eventually("recorded", func() bool {
		mr, _ := w.registry(registries)
		return len(mr.Status.Places) > 0 && slices.Contains(mr.Status.Places[0].PullSecrets, "granted")
	})
	if err := registries.Delete(t.Context(), "models", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("removed with its registry", func() bool { return w.copied("granted") == "" })
	if w.copied("taken") != "somebody's" {
		t.Error("another's Secret was deleted")
	}
}
