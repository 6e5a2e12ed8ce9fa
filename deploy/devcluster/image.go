package devcluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Image is a small OCI image of one layer, held in memory: enough for the pause image and for what tests run.
type Image struct {
	layer, config, manifest []byte
}

const (
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	configType   = "application/vnd.oci.image.config.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
)

// NewImage makes an image for this machine's platform of files (path in the image -> content, all executable)
// that runs entrypoint. Equal input gives an equal digest.
func NewImage(files map[string][]byte, entrypoint ...string) (*Image, error) {
	return NewImageAs("", files, entrypoint...)
}

// NewImageAs is NewImage of an image that runs as a user, "65532" say; a pod with runAsNonRoot needs its number. "" is root.
func NewImageAs(user string, files map[string][]byte, entrypoint ...string) (*Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Size: int64(len(files[path])), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("adding %s to an image: %w", path, err)
		}
		if _, err := w.Write(files[path]); err != nil {
			return nil, fmt.Errorf("adding %s to an image: %w", path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	i := &Image{layer: layer.Bytes()}
	running := map[string]any{"Entrypoint": entrypoint}
	if user != "" {
		running["User"] = user
	}
	var err error
	if i.config, err = json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": running,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(i.layer)}},
	}); err != nil {
		return nil, err
	}
	i.manifest, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor(configType, i.config),
		"layers": []any{descriptor(layerType, i.layer)},
	})
	return i, err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func descriptor(mediaType string, data []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digest(data), "size": len(data)}
}

// Digest is the manifest's digest.
func (i *Image) Digest() string { return digest(i.manifest) }

// WriteLayout writes an OCI image layout as a tar, which `ctr images import` reads; ref is the image's name.
func (i *Image) WriteLayout(path, ref string) error {
	entry := descriptor(manifestType, i.manifest)
	entry["annotations"] = map[string]string{"io.containerd.image.name": ref}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{entry}})
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", index},
		{blobPath(i.layer), i.layer}, {blobPath(i.config), i.config}, {blobPath(i.manifest), i.manifest},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return file.Close()
}

func blobPath(data []byte) string { return "blobs/" + strings.Replace(digest(data), ":", "/", 1) }

// Push uploads the image to repository:tag of a registry that speaks plain http (Cluster.Registry).
func (i *Image) Push(ctx context.Context, registry, repository, tag string) error {
	base := "http://" + registry + "/v2/" + repository
	for _, blob := range [][]byte{i.layer, i.config} {
		response, err := send(ctx, http.MethodPost, base+"/blobs/uploads/", "", nil)
		if err != nil {
			return fmt.Errorf("pushing %s:%s: %w", repository, tag, err)
		}
		location, err := response.Location()
		if err != nil {
			return fmt.Errorf("pushing %s:%s: %w", repository, tag, err)
		}
		query := location.Query()
		query.Set("digest", digest(blob))
		location.RawQuery = query.Encode()
		if _, err := send(ctx, http.MethodPut, location.String(), "application/octet-stream", blob); err != nil {
			return fmt.Errorf("pushing %s:%s: %w", repository, tag, err)
		}
	}
	if _, err := send(ctx, http.MethodPut, base+"/manifests/"+tag, manifestType, i.manifest); err != nil {
		return fmt.Errorf("pushing %s:%s: %w", repository, tag, err)
	}
	return nil
}

func send(ctx context.Context, method, url, contentType string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, response.Status, answer)
	}
	return response, nil
}
