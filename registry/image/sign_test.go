package image

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/registry"
)

// testKey is a private key in PEM, with its public half.
func testKey(t testing.TB, private any, public any) (key *Key, publicPEM string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(public); err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func ecdsaKey(t testing.TB) (*Key, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testKey(t, private, private.Public())
}

func ed25519Key(t testing.TB) (*Key, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testKey(t, private, public)
}

func policy(t *testing.T, provenance bool, publicPEM ...string) Policy {
	t.Helper()
	keys, err := ParsePublicKeys([]byte(strings.Join(publicPEM, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return Policy{keys, provenance}
}

// committed are files of a commit.
type committed struct{ fstest.MapFS }

func (committed) Origin() (repository, commit string) {
	return "https://git.example.com/models", strings.Repeat("c", 40)
}

// cosign runs cosign, which is built in a module of its own.
func cosign(t *testing.T, dir string, args ...string) (out []byte, err error) {
	t.Helper()
	path, err := exec.Command("go", "tool", "-modfile=../../.ci/cosign/go.mod", "-n", "cosign").Output()
	if err != nil {
		t.Fatalf("building cosign: %v", err)
	}
	cmd := exec.Command(strings.TrimSpace(string(path)), args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "COSIGN_PASSWORD=pl4nted-cosign", "HOME="+dir)
	return cmd.CombinedOutput()
}

// TestCosign: what davit signs with a key that cosign made, cosign verifies, with the commands of the README.
func TestCosign(t *testing.T) {
	dir := t.TempDir()
	if out, err := cosign(t, dir, "generate-key-pair"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "cosign.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKey(data, []byte("wrong")); err == nil || !strings.Contains(err.Error(), "COSIGN_PASSWORD") {
		t.Errorf("the wrong password: %v", err)
	}
	key, err := ParseKey(data, []byte("pl4nted-cosign"))
	if err != nil {
		t.Fatal(err)
	}
	v, fsys := version("v1", "model.safetensors=weights", "config.json={}")
	v.Spec.Lineage = registry.Lineage{TrainedBy: "iris-1a2b3c", BaseVersion: "v0"}
	v.Spec.Datasets = []registry.Dataset{{Name: "iris", URI: "s3://data/iris.csv", SHA256: strings.Repeat("d", 64)}}
	eachRegistry(t, func(t *testing.T, prefix string) {
		b := newBuilder(t, Config{Key: key, BuilderVersion: "v1.2.3"})
		res, err := b.Ensure(t.Context(), committed{fsys}, prefix+"/iris", v, nil)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := cosign(t, dir, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry", res.Ref); err != nil {
			t.Errorf("cosign verify: %v\n%s", err, out)
		}
		out, err := cosign(t, dir, "verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry", "--type", "slsaprovenance1", res.Ref)
		if err != nil {
			t.Fatalf("cosign verify-attestation: %v\n%s", err, out)
		}
		told := attestation(t, out)
		for _, text := range []string{
			`"gitCommit":"` + strings.Repeat("c", 40), `git+https://git.example.com/models`, `"trainedBy":"iris-1a2b3c"`, `"baseVersion":"v0"`,
			v.Spec.Files[0].SHA256, `"name":"dataset iris"`, `"davit":"v1.2.3"`, strings.TrimPrefix(res.Digest, "sha256:"),
		} {
			if !strings.Contains(told, text) {
				t.Errorf("the provenance does not say %s:\n%s", text, told)
			}
		}
		other := t.TempDir()
		if out, err := cosign(t, other, "generate-key-pair"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := cosign(t, other, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry", res.Ref); err == nil {
			t.Errorf("verified with another key:\n%s", out)
		}

		// And what cosign signs, davit accepts.
		unsigned := ensure(t, newBuilder(t, Config{}), fsys, prefix+"/unsigned", v)
		if out, err := cosign(t, dir, "sign", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "-y", unsigned.Ref); err != nil {
			t.Fatalf("cosign sign: %v\n%s", err, out)
		}
		public, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(t.Context(), unsigned.Ref, v, policy(t, false, string(public))); err != nil {
			t.Errorf("signed by cosign: %v", err)
		}
	})
}

// attestation is the statement in what cosign verify-attestation prints.
func attestation(t *testing.T, out []byte) string {
	t.Helper()
	for line := range strings.Lines(string(out)) {
		var e struct {
			Payload []byte `json:"payload"`
		}
		if json.Unmarshal([]byte(line), &e) == nil && len(e.Payload) > 0 {
			return string(e.Payload)
		}
	}
	t.Fatalf("no statement in\n%s", out)
	return ""
}

// TestSignatures: whose signature counts, and for what.
func TestSignatures(t *testing.T) {
	v, fsys := version("v1", "model.safetensors=weights", "config.json={}")
	for kind, generate := range map[string]func(testing.TB) (*Key, string){"ecdsa": ecdsaKey, "ed25519": ed25519Key} {
		t.Run(kind, func(t *testing.T) {
			eachRegistry(t, func(t *testing.T, prefix string) {
				key, public := generate(t)
				_, other := generate(t)
				signing := newBuilder(t, Config{Key: key})
				res := ensure(t, signing, fsys, prefix+"/iris", v)
				check := func(what, ref, missing string, policies ...Policy) {
					t.Helper()
					err := newBuilder(t, Config{}).Verify(t.Context(), ref, v, policies...)
					unsigned, ok := errors.AsType[*UnsignedError](err)
					if missing == "" && err != nil || missing != "" && (!ok || unsigned.What != missing) {
						t.Errorf("%s: %v, want %q", what, err, missing)
					}
				}
				check("no policy", res.Ref, "")
				check("its key", res.Ref, "", policy(t, true, public))
				check("one of two keys", res.Ref, "", policy(t, true, other, public))
				check("another key", res.Ref, "signature", policy(t, false, other))
				check("both must hold", res.Ref, "signature", policy(t, false, public), policy(t, false, other))

				plain := newBuilder(t, Config{})
				unsigned := ensure(t, plain, fsys, prefix+"/plain", v)
				check("unsigned", unsigned.Ref, "signature", policy(t, false, public))

				// With a key, what another put there does not count: it is read, checked and signed.
				again, err := newBuilder(t, Config{Key: key}).Ensure(t.Context(), fsys, prefix+"/plain", v, nil)
				if err != nil || !again.Built || again.Digest != unsigned.Digest || again.BytesRead != 9 {
					t.Errorf("an unsigned image: %+v, %v", again, err)
				}
				check("signed since", again.Ref, "", policy(t, true, public))
				if third, err := newBuilder(t, Config{Key: key}).Ensure(t.Context(), fsys, prefix+"/plain", v, nil); err != nil || third.Built {
					t.Errorf("a signed image: %+v, %v", third, err)
				}
			})
		})
	}
}

// TestAnotherVersionsImage: whoever may push can put a signed image under the tag of another version.
func TestAnotherVersionsImage(t *testing.T) {
	key, public := ecdsaKey(t)
	old, one := version("v1", "model.safetensors=old and bad")
	next, two := version("v2", "model.safetensors=new and good")
	eachRegistry(t, func(t *testing.T, prefix string) {
		repository := prefix + "/iris"
		first := ensure(t, newBuilder(t, Config{Key: key}), one, repository, old)
		repo, err := name.NewRepository(repository)
		if err != nil {
			t.Fatal(err)
		}
		err = newBuilder(t, Config{}).Verify(t.Context(), first.Ref, next, policy(t, true, public))
		if _, unsigned := errors.AsType[*UnsignedError](err); !unsigned || !strings.Contains(err.Error(), "on the files of iris@v2") {
			t.Errorf("verified: %v", err)
		}
		for _, cfg := range []Config{{}, {Key: key}} {
			if err := remote.Tag(repo.Tag(Tag(next)), pull(t, first.Ref)); err != nil {
				t.Fatal(err)
			}
			res, err := newBuilder(t, cfg).Ensure(t.Context(), two, repository, next, nil)
			if err != nil || !res.Built || res.Digest == first.Digest {
				t.Errorf("%+v, %v", res, err)
			}
		}
	})
}

// TestUnsignedLayersAreNotReused: layers that another image says it has count only if that image is signed.
func TestUnsignedLayersAreNotReused(t *testing.T) {
	key, _ := ecdsaKey(t)
	eachRegistry(t, func(t *testing.T, prefix string) {
		v1, fsys := version("v1", "a=weights")
		v2, more := version("v2", "a=weights", "b=more")
		ensure(t, newBuilder(t, Config{}), fsys, prefix+"/iris", v1)
		if res, err := newBuilder(t, Config{}).Ensure(t.Context(), more, prefix+"/iris", v2, nil); err != nil || res.BytesRead != 4 {
			t.Errorf("without a key: %+v, %v", res, err)
		}
		v3, most := version("v3", "a=weights", "c=most")
		if res, err := newBuilder(t, Config{Key: key}).Ensure(t.Context(), most, prefix+"/iris", v3, nil); err != nil || res.BytesRead != 11 {
			t.Errorf("with a key: %+v, %v", res, err)
		}
		v4, last := version("v4", "a=weights", "d=last")
		if res, err := newBuilder(t, Config{Key: key}).Ensure(t.Context(), last, prefix+"/iris", v4, nil); err != nil || res.BytesRead != 4 {
			t.Errorf("once v3 is signed: %+v, %v", res, err)
		}
	})
}

func TestKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	_, public := ecdsaKey(t)
	for text, want := range map[string]string{
		"":            "is not PEM",
		public:        "is a PUBLIC KEY, not a private key",
		pkcs8(rsaKey): "ECDSA P-256 and Ed25519 are supported",
		pkcs8(p384):   "is on curve P-384",
	} {
		if _, err := ParseKey([]byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for text, want := range map[string]string{"": "no public key", pkcs8(p384): "is a PRIVATE KEY, not a public key"} {
		if _, err := ParsePublicKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

var _ fs.FS = committed{}

// TestPoint: a tag that people follow goes where it is told, forward and back.
func TestPoint(t *testing.T) {
	v1, one := version("v1", "a=1")
	v2, two := version("v2", "a=2")
	eachRegistry(t, func(t *testing.T, prefix string) {
		b := newBuilder(t, Config{})
		first, second := ensure(t, b, one, prefix+"/iris", v1), ensure(t, b, two, prefix+"/iris", v2)
		for _, want := range []Result{first, second, first} {
			if err := b.Point(t.Context(), "production", want.Ref); err != nil {
				t.Fatal(err)
			}
			digest, err := pull(t, prefix+"/iris:production").Digest()
			if err != nil || digest.String() != want.Digest {
				t.Errorf("%s, %v, want %s", digest, err, want.Digest)
			}
		}
		if err := b.Point(t.Context(), "no tag", first.Ref); err == nil {
			t.Error("no error")
		}
	})
}
