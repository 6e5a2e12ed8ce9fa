package cluster

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestSecretMakers(t *testing.T) {
	external := schema.GroupKind{Group: "external-secrets.io", Kind: "ExternalSecret"}
	sealed := schema.GroupKind{Group: "bitnami.com", Kind: "SealedSecret"}
	for _, c := range []struct {
		kind   schema.GroupKind
		status string
		state  State
		reason string
	}{
		{external, `{}`, Progressing, "Unobserved"},
		{external, `{"conditions":[{"type":"Ready","status":"True","reason":"SecretSynced"}]}`, Ready, ""},
		{external, `{"conditions":[{"type":"Ready","status":"False","reason":"SecretSyncedError","message":"no such key"}]}`, Waiting, "SecretSyncedError"},
		{sealed, `{"observedGeneration":1,"conditions":[{"type":"Synced","status":"True"}]}`, Progressing, "Unobserved"},
		{sealed, `{"observedGeneration":2,"conditions":[{"type":"Synced","status":"True"}]}`, Ready, ""},
		{sealed, `{"observedGeneration":2,"conditions":[{"type":"Synced","status":"False","message":"no key could decrypt secret"}]}`, Waiting, "SecretNotMade"},
	} {
		body := []byte(`{"metadata":{"name":"token","generation":2},"status":` + c.status + `}`)
		if !json.Valid(body) {
			t.Fatal(c.status)
		}
		h := view{}.custom(c.kind, &tracked{name: "token", health: body})
		if h.State != c.state || h.Reason != c.reason {
			t.Errorf("%s with %s: %+v", c.kind, c.status, h)
		}
		if stage(c.kind) != stageConfig {
			t.Errorf("%s comes in stage %d", c.kind, stage(c.kind))
		}
	}
}
