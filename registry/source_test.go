package registry_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/registry"
)

// TestCheckFileSource lets addresses of one state through, and none with credentials.
func TestCheckFileSource(t *testing.T) {
	commit, digest := strings.Repeat("1", 40), "sha256:"+strings.Repeat("ab", 32)
	for source, sound := range map[string]bool{
		"s3://data/a b/ü#1%zz.csv?versionId=3/L4kqtJlcpXroDTDmJ%2BrmSpXd3dIbrHY": true,
		"gs://data/train.csv?generation=1700000000000001":                        true,
		"azblob://data/train.csv?versionid=2026-01-02T03:04:05.0000000Z":         true,
		"hf://datasets/org/cats@" + commit + "/data/train.parquet":               true,
		"hf://gpt2@" + commit: true,
		"oci://registry.example.com:5000/data/cats@" + digest: true,
		"hf://hf_abcdefgh@org/cats":                           false,
		"hf://user:password@org/cats":                         false,
		"https://user@example.com/train.csv":                  false,
		"s3://data/train.csv?X-Amz-Signature=abc":             false,
		"azblob://data/train.csv?versionid=1&sig=abc":         false,
	} {
		if err := registry.CheckFile(registry.File{Path: "a", Source: source}); (err == nil) != sound {
			t.Errorf("%s: %v", source, err)
		}
	}
}
