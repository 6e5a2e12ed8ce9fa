package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob"

	"github.com/davit-dev/davit/registry"
)

// Azurite's account and key are the ones everybody knows:
// https://learn.microsoft.com/azure/storage/common/storage-use-azurite.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// azurite installs Microsoft's own Azure Blob Storage server, once, and runs it.
func azurite(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("Azurite comes from npm, which is not installed")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "davit", "azurite-3.37.0")
	if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
		cmd := exec.Command(npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "azurite@3.37.0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("installing Azurite: %v\n%s", err, out)
		}
		if err := os.WriteFile(filepath.Join(dir, "done"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return serveCommand(t, func(ctx context.Context, port string) *exec.Cmd {
		return exec.CommandContext(ctx, filepath.Join(dir, "node_modules", ".bin", "azurite-blob"), "--skipApiVersionCheck", "--silent",
			"--inMemoryPersistence", "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", port)
	})
}

// TestAzure reads versions from Azurite, with the process's credentials and with granted ones.
func TestAzure(t *testing.T) {
	at := azurite(t)
	content := strings.Repeat("weights ", 10_000)
	secret := Secret{
		"AZURE_STORAGE_ACCOUNT": azuriteAccount, "AZURE_STORAGE_KEY": azuriteKey, "AZURE_STORAGE_DOMAIN": at, "AZURE_STORAGE_PROTOCOL": "http",
	}
	client, err := secret.azureClient("http://" + at + "/" + azuriteAccount + "/models")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	bucket, err := secret.azureBucket(t.Context(), "models")
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	if err := bucket.WriteAll(t.Context(), "iris/model.safetensors", []byte(content), &blob.WriterOptions{}); err != nil {
		t.Fatal(err)
	}
	for key, value := range secret {
		t.Setenv(key, value)
	}
	b := newBuilder(t, Config{})
	for what, c := range map[string]struct {
		key, content, want string
		access             Access
	}{
		"own":       {"iris/model.safetensors", content, "", nil},
		"granted":   {"iris/model.safetensors", content, "", secretOf("azblob://models", secret)},
		"missing":   {"iris/none", content, "does not exist", nil},
		"size":      {"iris/model.safetensors", content + "more", "size is 80000", nil},
		"content":   {"iris/model.safetensors", strings.ToUpper(content), "sha256 is", nil},
		"wrong key": {"iris/model.safetensors", content, "403", secretOf("azblob://models", Secret{"AZURE_STORAGE_ACCOUNT": azuriteAccount, "AZURE_STORAGE_KEY": "d3Jvbmc=", "AZURE_STORAGE_DOMAIN": at, "AZURE_STORAGE_PROTOCOL": "http"})},
		"no key":    {"iris/model.safetensors", content, "the Secret has no key AZURE_STORAGE_KEY", secretOf("azblob://models", Secret{"AZURE_STORAGE_ACCOUNT": azuriteAccount})},
	} {
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("model.safetensors", "azblob://models/"+c.key, c.content)}
		res, err := b.Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, c.access)
		switch {
		case c.want == "" && (err != nil || res.BytesRead != int64(len(content))):
			t.Errorf("%s: %+v, %v", what, res, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}
