package image

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// FuzzBundle changes signed statements: they count for the image and the kind of statement that was signed, and for no other.
func FuzzBundle(f *testing.F) {
	image := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	var keys []PublicKey
	payloads := map[string]string{}
	for _, kind := range []string{signatureType, provenanceType} {
		for _, makeKey := range []func(testing.TB) (*Key, string){ecdsaKey, ed25519Key} {
			key, _ := makeKey(f)
			keys = append(keys, key.public)
			layer, _, err := key.attest(v1.Descriptor{Digest: image}, kind, map[string]any{"x": 1})
			if err != nil {
				f.Fatal(err)
			}
			blob, err := layer.Compressed()
			if err != nil {
				f.Fatal(err)
			}
			raw, err := io.ReadAll(blob)
			if err != nil {
				f.Fatal(err)
			}
			s := statementIn(raw, image.String())
			if s == nil || !(attachments{*s}).by(keys, kind) {
				f.Fatalf("%s does not count", raw)
			}
			payloads[string(s.Payload)] = kind
			f.Add(raw, strings.Repeat("a", 64))
			f.Add(raw, strings.Repeat("b", 64))
			f.Add(bytes.Replace(raw, []byte(`"payloadType"`), []byte(`"payload":"e30=","PayloadType"`), 1), image.Hex)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, digest string) {
		s := statementIn(raw, "sha256:"+digest)
		if s == nil {
			return
		}
		for _, kind := range []string{signatureType, provenanceType} {
			if (attachments{*s}).by(keys, kind) && (payloads[string(s.Payload)] != kind || digest != image.Hex) {
				t.Errorf("%s counts as %s of %q", raw, kind, digest)
			}
		}
	})
}

// FuzzPublicKeys: keys that were read are written as PEM, and read as the same.
func FuzzPublicKeys(f *testing.F) {
	_, one := ecdsaKey(f)
	_, two := ed25519Key(f)
	f.Add([]byte(one))
	f.Add([]byte("text\n" + two + "\n" + one))
	f.Add([]byte(strings.Replace(one, "PUBLIC", "PRIVATE", 2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParsePublicKeys(data)
		if err != nil {
			return
		}
		for _, key := range keys {
			der, err := x509.MarshalPKIXPublicKey(key.key)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParsePublicKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			if err != nil || len(again) != 1 || again[0].hint != key.hint || key.verify([]byte("x"), []byte("y")) {
				t.Errorf("%s and %+v, %v", key.hint, again, err)
			}
		}
	})
}

// FuzzRunResult: what a run left is written and read as the same, and its metrics are numbers with names that can be printed.
func FuzzRunResult(f *testing.F) {
	f.Add([]byte(`{"run":"iris/tune-0a","hash":"x","digest":"sha256:y","version":{"format":"onnx","files":[{"path":"a","source":"b","sha256":"c","size":1}],"metrics":{"accuracy":0.96}},"ended":"2026-11-24T10:00:00Z"}`))
	f.Add([]byte(`{"version":{"files":null,"parameters":-1}}`))
	f.Add([]byte(`{"accuracy":1e999,"loss":NaN,"":1,"b":null,"c":"1","d\u0007":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, again RunResult
		if json.Unmarshal(data, &r) == nil {
			written, err := json.Marshal(r)
			if err != nil {
				if !strings.Contains(err.Error(), "year") {
					t.Error(err)
				}
			} else if err := json.Unmarshal(written, &again); err != nil || !same(r, again) {
				t.Errorf("%+v is written as %s, %v", r, written, err)
			}
		}
		var values map[string]json.RawMessage
		if json.Unmarshal(notJSON.ReplaceAll(data, []byte(":null$1")), &values) != nil {
			return
		}
		metrics := numbers(values, slog.New(slog.DiscardHandler))
		if err := checkMetrics(metrics); err != nil {
			t.Error(err)
		}
		for name, n := range metrics {
			var plain float64
			if err := json.Unmarshal(values[name], &plain); err != nil || plain != n || math.IsInf(n, 0) {
				t.Errorf("metric %q is %v, and %s in the file", name, n, values[name])
			}
		}
	})
}

// FuzzDockerConfig: a registry gets the credentials that are under its own name, and no error quotes any.
func FuzzDockerConfig(f *testing.F) {
	f.Add("example.com/models", []byte(`{"auths":{"https://example.com/v1/":{"username":"ada","password":"`+planted+`"},"example.com/models":{"auth":"YTpi"}}}`))
	f.Add("index.docker.io/library/x", []byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"`+planted+`"}}}`))
	f.Add("example.com:5000/a", []byte(`{"auths":{"":{"auth":"YTpi"},"example.com":{"auth":"YTpi"},"/":{},"http://":{"username":"x"}}}`))
	f.Fuzz(func(t *testing.T, repository string, config []byte) {
		repo, err := name.NewRepository(repository)
		if err != nil {
			return
		}
		auth, ok, err := (RegistryAccess{dockerConfigKey: config}).credentials(repo)
		if err != nil && strings.Contains(err.Error(), planted) {
			t.Error(err)
		}
		if !ok {
			return
		}
		if auth == nil || !strings.Contains(string(config), "auths") && !strings.Contains(strings.ToLower(string(config)), "auths") {
			t.Fatalf("%+v of %s", auth, config)
		}
		var file struct {
			Auths map[string]json.RawMessage
		}
		if err := json.Unmarshal(config, &file); err != nil {
			t.Fatal(err)
		}
		host := repo.RegistryStr()
		for key := range file.Auths {
			if strings.Contains(key, host) || host == "index.docker.io" && strings.Contains(key, "docker.io") {
				return
			}
		}
		t.Errorf("%s has credentials by none of %v", repo, file.Auths)
	})
}

// FuzzExpiry reads when a token ends out of any text.
func FuzzExpiry(f *testing.F) {
	f.Add("a.eyJleHAiOjE3OTAwMDAwMDB9.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, jwt string) {
		if at := expiry(jwt); at.Before(time.Unix(1, 0)) {
			t.Errorf("%q ends at %s", jwt, at)
		}
	})
}
