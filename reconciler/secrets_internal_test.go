package reconciler

import (
	"context"
	"slices"
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestRecent: what was read of a Secret is kept until any of them changes, also while it is being read.
func TestRecent(t *testing.T) {
	news := &secretNews{uses: map[*secretUse]bool{}}
	read, during := 0, func() {}
	r := &recent[int]{news: news, read: func(context.Context) (int, error) {
		read++
		during()
		return read, nil
	}}
	want := func(n int) {
		t.Helper()
		if got, err := r.get(t.Context()); got != n || err != nil {
			t.Errorf("got %d, %v; want %d", got, err, n)
		}
	}
	want(1)
	want(1)
	news.tell("keys")
	during = func() { news.tell("keys") } // what is just being read may be of before
	want(2)
	during = func() {}
	want(3)
	want(3)
}

// TestSecretsOf names every Secret that a ModelRegistry may speak of.
func TestSecretsOf(t *testing.T) {
	anew, once := secretsOf(&v1alpha1.ModelRegistrySpec{
		Credentials: "git", Proxy: "proxy", Forge: &v1alpha1.Forge{Secret: "forge"}, Images: &v1alpha1.ImageAccess{Secret: "images"},
		Notifications: []v1alpha1.Notification{{Secret: "chat"}, {}},
		Committer:     &v1alpha1.Committer{SigningKey: &v1alpha1.SecretKey{Secret: "signing"}},
		Environments: []v1alpha1.EnvironmentGrant{{
			Cluster: &v1alpha1.SecretKey{Secret: "cluster"}, Sources: []v1alpha1.SourceGrant{{Secret: "source"}}, PullSecrets: []string{"pull", "git"},
			Decryption: "keys", Prometheus: &v1alpha1.Prometheus{Secret: "prometheus"},
		}},
	})
	if want := []string{"chat", "forge", "git", "images", "keys", "prometheus", "proxy", "pull", "source"}; !slices.Equal(anew, want) {
		t.Errorf("anew %v, want %v", anew, want)
	}
	if want := []string{"cluster", "signing"}; !slices.Equal(once, want) {
		t.Errorf("once %v, want %v", once, want)
	}
}
