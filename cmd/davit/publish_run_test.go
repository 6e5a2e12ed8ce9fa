package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// lines tells of each write.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := devcluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func setRun(t *testing.T, repository string) {
	t.Helper()
	spec, err := json.Marshal(registry.RunSpec{Repository: repository, Model: "iris", Run: "tune-2041f890", Hash: "2041f890" + strings.Repeat("a", 56)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model.txt"), []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(registry.PublishVariable, string(spec))
	t.Setenv("DAVIT_OUTPUT", dir)
}

// The OCI registry is down, which is told, and comes back: the run is published without being trained again.
func TestPublishRunTriesAgain(t *testing.T) {
	address := freeAddress(t)
	setRun(t, address+"/iris")
	said, done := make(lines, 100), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	go func() {
		_, err := (&app{}).publishRun(ctx, said)
		done <- err
	}()
	select {
	case line := <-said:
		if !strings.Contains(line, "it is tried again") || !strings.Contains(line, "run=tune-2041f890") {
			t.Errorf("said %q", line)
		}
	case err := <-done:
		t.Fatalf("ended without an OCI registry: %v", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))}
	go server.Serve(listener)
	defer server.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPublishRunEnds(t *testing.T) {
	setRun(t, freeAddress(t)+"/iris")
	said, done := make(lines, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := (&app{}).publishRun(ctx, said)
		done <- err
	}()
	<-said
	cancel()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "interrupted before run tune-2041f890 was published") {
			t.Errorf("%v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("still trying 30 s after it was ended")
	}
}

// Kubernetes keeps no more than 4096 bytes: the digest and whole metrics are there.
func TestTermination(t *testing.T) {
	r := image.RunResult{Digest: "sha256:" + strings.Repeat("a", 64)}
	r.Version.Metrics = map[string]float64{}
	for i := range 200 {
		r.Version.Metrics[fmt.Sprintf("m%03d-%s", i, strings.Repeat("x", 60))] = 0.5
	}
	data := termination(r)
	var got struct {
		Digest  string
		Metrics map[string]float64
	}
	if err := json.Unmarshal(data, &got); err != nil || len(data) > maxTermination || got.Digest != r.Digest {
		t.Fatalf("%d bytes, %v: %s", len(data), err, data)
	}
	if n := len(got.Metrics); n < 40 || n == 200 || !bytes.Contains(data, []byte("m000-")) {
		t.Errorf("%d metrics, want as many as fit", n)
	}
}
