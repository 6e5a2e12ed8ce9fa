package chaos_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// crashTrace is what happened on the way, which the state at rest does not tell: which revisions a Deployment went through, how
// often a run was made, which images were about to be applied.
type crashTrace struct {
	mu      sync.Mutex
	broken  map[string]int             // by release: how often v3 came to its Deployment
	made    map[string]map[string]bool // by run: the UIDs of its Jobs
	images  map[string]error           // by version and image: why it must not be applied; nil where it may
	applied int
}

func newCrashTrace(w *crashWorld) *crashTrace {
	c := &crashTrace{broken: map[string]int{}, made: map[string]map[string]bool{}, images: map[string]error{}}
	watch := informers.NewSharedInformerFactory(w.client, 0)
	_, err := watch.Apps().V1().Deployments().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.deployed(nil, o.(*appsv1.Deployment)) },
		UpdateFunc: func(before, o any) { c.deployed(before.(*appsv1.Deployment), o.(*appsv1.Deployment)) },
	})
	if err == nil {
		_, err = watch.Batch().V1().Jobs().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) { c.ran(o.(*batchv1.Job)) }})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	stop := make(chan struct{})
	w.t.Cleanup(func() { close(stop); watch.Shutdown() })
	watch.Start(stop)
	watch.WaitForCacheSync(stop)
	return c
}

const crashVersion = "davit.dev/version"

func (c *crashTrace) deployed(before, d *appsv1.Deployment) {
	bad := func(d *appsv1.Deployment) bool { return d != nil && d.Spec.Template.Labels[crashVersion] == "v3" }
	if bad(d) && !bad(before) {
		c.mu.Lock()
		c.broken[d.Namespace+"/"+d.Name]++
		c.mu.Unlock()
	}
}

func (c *crashTrace) ran(job *batchv1.Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made[job.Name] == nil {
		c.made[job.Name] = map[string]bool{}
	}
	c.made[job.Name][string(job.UID)] = true
}

var modelImage = regexp.MustCompile(`[0-9a-z.:]+/models/iris@sha256:[0-9a-f]{64}`)

// audit looks at what is about to be applied: an image has to be signed, and to hold the files that its version names, at that
// very moment.
func (w *crashWorld) audit(r request) {
	if !strings.HasSuffix(r.words, " deployments") || len(r.body) == 0 {
		return
	}
	var d appsv1.Deployment
	if err := json.Unmarshal(r.body, &d); err != nil {
		return // what is no Deployment holds no image
	}
	version := d.Spec.Template.Labels[crashVersion]
	w.trace.mu.Lock()
	defer w.trace.mu.Unlock()
	for _, ref := range modelImage.FindAllString(string(r.body), -1) {
		w.trace.applied++
		if _, known := w.trace.images[version+" "+ref]; !known {
			w.trace.images[version+" "+ref] = w.sound(version, ref)
		}
	}
}

// sound reads an image as a stranger would. It holds the one file that its version names.
func (w *crashWorld) sound(version, ref string) error {
	models, err := registry.Load(os.DirFS(w.dir))
	if err != nil {
		return err
	}
	v := models.Models["iris"].Versions[version]
	if v == nil {
		return fmt.Errorf("no version %q", version)
	}
	ref = strings.Replace(ref, strings.TrimPrefix(w.front.oci.URL, "http://"), w.dev.Registry, 1)
	images, err := image.New(image.Config{})
	if err == nil {
		err = images.Verify(w.whole.Context(), ref, v, image.Policy{Keys: w.keys, Provenance: true})
	}
	if err != nil {
		return err
	}
	pulled, err := crane.Pull(ref)
	if err != nil {
		return err
	}
	layers, err := pulled.Layers()
	if err != nil || len(layers) != 1 {
		return fmt.Errorf("%d layers: %w", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	for files := tar.NewReader(content); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("no file in it")
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(files)
		if err == nil && sum(data) != v.Spec.Files[0].SHA256 {
			err = fmt.Errorf("%s has sha256 %s", h.Name, sum(data))
		}
		return err
	}
}

// until waits; it says what is not so yet when the time is over.
func until(limit time.Duration, differs func() string) string {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if why := differs(); why == "" || time.Now().After(deadline) {
			return why
		}
	}
}
