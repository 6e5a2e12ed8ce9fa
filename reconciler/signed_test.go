package reconciler_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// imageKey is a signing key, and its public half in PEM.
func imageKey(t *testing.T) (*image.Key, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := image.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestUnsignedImagesAreNotApplied: where an environment asks for signatures, an image without one waits, and is applied
// once it is signed. The others are not concerned.
func TestUnsignedImagesAreNotApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("davit.yaml", dev.Registry, dev.Registry+"/"+w.id) // what no other test has built
	w.commit("a place of its own")
	key, public := imageKey(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)

	text := "bake: 100ms\n  images:\n    provenance: true\n    keys:\n      - |\n"
	for line := range strings.Lines(public) {
		text += "        " + line
	}
	w.edit("environments/production/environment.yaml", "bake: 100ms\n", text)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("v2, signed in production")
	w.until(staging, "v2", v1alpha1.Healthy)
	got := w.drain("production", "waiting for a signature", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "ImageNotSigned" })
	if got.Phase != v1alpha1.Waiting || got.Applied.Version != "v1" || got.Held != nil || !strings.Contains(got.Message, "has no signature by a key that is accepted here") {
		t.Errorf("%+v", got)
	}
	stop()

	images, err := image.New(image.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	signing := func(c *reconciler.Config) { c.Images = images }
	stop = w.follow(signing)
	w.until(production, "v2", v1alpha1.Healthy)
	stop()

	// A grant's keys count beside the environment's.
	_, other := imageKey(t)
	keys, err := image.ParsePublicKeys([]byte(other))
	if err != nil {
		t.Fatal(err)
	}
	w.edit("releases/iris/production.yaml", "version: v2", "version: v3")
	w.commit("v3")
	w.follow(signing, func(c *reconciler.Config) {
		c.Grants = map[string]reconciler.Grant{"production": {Cluster: w.cluster, Images: []image.Policy{{Keys: keys}}}}
		c.Cluster = nil
	})
	w.drain("production", "waiting for the granted key's signature", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Reason == "ImageNotSigned" && s.Applied.Version == "v2"
	})
}

// TestTagsFollowReleases: the tag an environment names is at what is healthy there, and goes back with it. Versions' own
// tags stay.
func TestTagsFollowReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repository := dev.Registry + "/" + w.id + "/iris"
	w.edit("davit.yaml", dev.Registry+"/models", dev.Registry+"/"+w.id)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  images: {tag: production}")
	w.add("second")
	w.commit("a tag, and a second release")
	w.follow()
	w.all("iris", "second")
	at := func(tag, version string) {
		t.Helper()
		var got, want string
		w.eventually(tag+" is at "+version, func() bool {
			var err error
			if want, err = crane.Digest(repository + ":" + version); err != nil {
				t.Fatal(err)
			}
			got, err = crane.Digest(repository + ":" + tag)
			return err == nil && got == want
		})
	}
	at("production", "v1")
	at("production-second", "v1")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	at("production", "v2")
	at("production-second", "v1")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v3")
	w.commit("promote v3, which crashes")
	w.until(production, "v2", v1alpha1.RolledBack)
	at("production", "v2")
	w.git("revert", "--no-edit", "HEAD")
	w.git("revert", "--no-edit", "HEAD~2")
	w.until(production, "v1", v1alpha1.Healthy)
	at("production", "v1")
}
