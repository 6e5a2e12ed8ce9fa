package image

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/registry"
)

// resolve gives what a dataset at an address is now, twice: it has to be the same.
func resolve(t *testing.T, b *Builder, uri string, access Access) registry.Dataset {
	t.Helper()
	d := registry.Dataset{Name: "data", URI: uri}
	got, err := b.ResolveDataset(t.Context(), d, access)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	if again, err := b.ResolveDataset(t.Context(), d, access); err != nil || again != got {
		t.Errorf("%s: %+v, %v, and before %+v", uri, again, err, got)
	}
	if got.Name != "data" || got.URI == uri && got.SHA256 == "" {
		t.Errorf("%s: %+v is not pinned", uri, got)
	}
	if pinned, err := b.ResolveDataset(t.Context(), registry.Dataset{Name: "data", URI: got.URI}, access); got.URI != uri && (err != nil || pinned != got) {
		t.Errorf("what is pinned stays as it is: %+v, %v", pinned, err)
	}
	if err := registry.CheckFile(registry.File{Path: "a", Source: got.URI}); err != nil {
		t.Errorf("%s can't be written into a file: %v", got.URI, err)
	}
	return got
}

// unresolved wants an error with the dataset's name, and the words.
func unresolved(t *testing.T, b *Builder, uri string, access Access, content bool, words ...string) {
	t.Helper()
	d, err := b.ResolveDataset(t.Context(), registry.Dataset{Name: "data", URI: uri}, access)
	if err == nil || d != (registry.Dataset{}) {
		t.Errorf("%s: %+v, %v", uri, d, err)
		return
	}
	for _, w := range append(words, `dataset "data": `) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v, want %q", uri, err, w)
		}
	}
	if _, ok := errors.AsType[*ContentError](err); ok != content {
		t.Errorf("%s: %v: the dataset's own fault: %v", uri, err, ok)
	}
	if strings.Contains(err.Error(), "pl4nted") {
		t.Errorf("%s: %v", uri, err)
	}
}

// contentAt is what the package's own reader finds at an address.
func contentAt(t *testing.T, b *Builder, uri string, access Access) string {
	t.Helper()
	r, err := b.sources(nil, access).open(t.Context(), registry.File{Path: "a", Source: uri, Size: -1})
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	return string(data)
}

func sha(text string) string { return file("", "", text).SHA256 }

// listing is a folder's digest as ResolveDataset says it, of contents by the key below it.
func listing(contents map[string]string, tag func(key string) string) string {
	var lines []string
	for key, text := range contents {
		line := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", len(text), tag(key), key))
		lines = append(lines, string(line[:]))
	}
	slices.Sort(lines)
	return sha(strings.Join(lines, ""))
}

func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestDatasetAsItIs: what has a sha256 is asked of nobody, and what can't be resolved says what to do.
func TestDatasetAsItIs(t *testing.T) {
	b := newBuilder(t, Config{})
	none := func(context.Context, string) (Secret, error) { return nil, errors.New("nobody asks") }
	for _, uri := range []string{"s3://nowhere/data.csv", "ftp://example.com/data", "data/train.csv", "https://127.0.0.1:1/x"} {
		d := registry.Dataset{Name: "data", URI: uri, SHA256: sha("data")}
		if got, err := b.ResolveDataset(t.Context(), d, none); err != nil || got != d {
			t.Errorf("%+v, %v", got, err)
		}
	}
	unresolved(t, b, "git+https://example.com/data.git@main", none, true, `scheme "git+https"`, "write the dataset's sha256")
	unresolved(t, b, "data/train.csv", none, true, "is a path", "write the dataset's sha256")
	unresolved(t, b, "https://ada:pl4nted-source@example.com/data", none, true, "credentials")
	unresolved(t, b, "s3://data/x?X-Amz-Signature=pl4nted-query", none, true, "credentials")
	unresolved(t, b, "s3://data", nil, true, "is not of the form")
	unresolved(t, b, "s3://data/x?version=pl4nted-query", nil, true, "is not of the form", "s3://data/x?…")
	unresolved(t, b, "s3://data/x/?versionId=1", nil, true, "is not of the form")
	unresolved(t, b, "gs://data/x?generation=1;drop", nil, true, "is not of the form")
	unresolved(t, b, "s3://data/x", none, false, "credentials for s3://data/x: nobody asks")
}

// TestObjectRef: an address with a version is the one that is made of it, whatever characters a store's versions have.
func TestObjectRef(t *testing.T) {
	for _, version := range []string{"1", "3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo", "a&b=c+d e/f%20?#ü", "2026-01-02T03:04:05.0000000Z"} {
		for _, o := range []objectRef{{"s3", "data", "a b/ü#1%20.csv", ""}, {"azblob", "data", "x", ""}} {
			at := o.at(version)
			got, ok := parseObject(at)
			if o.version = version; !ok || got != o {
				t.Errorf("%s: %+v, %v", at, got, ok)
			}
			if redact(at) != at || withoutVersion(at) != o.at("") {
				t.Errorf("%s: %s, %s", at, redact(at), withoutVersion(at))
			}
		}
	}
	for _, bad := range []string{"s3://b/k?", "s3://b/k?versionId=", "s3://b/k?versionId=a&x=1", "s3://b/k?versionId=a%2", "s3://b/k?versionid=a", "gs://b/k?generation=0", "s3:///k", "s3://b", "s3://u:p@b/k", "hf://b/k"} {
		if o, ok := parseObject(bad); ok {
			t.Errorf("%s: %+v", bad, o)
		}
	}
}
