package image

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
)

const planted = "pl4nted-s3cret"

// FuzzRedactSource plants a credential where a source may have one, and looks for it in what is printed of the source.
func FuzzRedactSource(f *testing.F) {
	f.Add("https", "ada:", "", "example.com", "/model.bin")
	f.Add("s3", "", ":x", "bucket", "/%zz")
	f.Add("azblob", "X-Amz-Signature=", "&a=b", "bucket", "/key")
	f.Add("oci", "a:", "%", "[::1", "\x1b[31m")
	f.Fuzz(func(t *testing.T, scheme, before, after, host, rest string) {
		ends := func(s string) bool { return strings.ContainsAny(s, "/?#@ ") }
		if scheme == "" || strings.ContainsAny(scheme, ":/?#@") || ends(before) || ends(after) || ends(host) {
			return
		}
		for _, source := range []string{
			scheme + "://" + before + planted + after + "@" + host + rest,
			scheme + "://" + host + "/key?sig=" + before + planted + after,
		} {
			if printed := redact(source); strings.Contains(printed, planted) || strings.ContainsFunc(printed, unicode.IsControl) {
				t.Errorf("%q is printed as %q", source, printed)
			}
			_, errHub := parseHub(source)
			_, _, errOCI := parseOCI(source)
			for _, err := range []error{errHub, errOCI} {
				if err != nil && strings.Contains(err.Error(), planted) {
					t.Error(err)
				}
			}
		}
	})
}

// FuzzPlace: an address that is taken apart is put together again as the same.
func FuzzPlace(f *testing.F) {
	for _, source := range []string{
		"s3://bucket/a%20#b?versionId=x%2B", "gs://b/k?generation=12", "azblob://c/d/", "S3://b/k?versionId=é",
		"hf://org/repo@main/a/b.bin", "hf://datasets/org/repo/file", "hf://gpt2@refs/pr/1/x", "hf://a/b@..",
		"oci://example.com/models/iris@sha256:" + strings.Repeat("0", 64) + "/a/b", "example.com:5000/a/b:v1", "a@sha256:" + strings.Repeat("f", 64),
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if o, ok := parseObject(source); ok {
			again, ok := parseObject(o.at(o.version))
			if !ok || again != o || !strings.EqualFold(o.at(o.version), source) {
				t.Errorf("%q is %+v, and that %q", source, o, o.at(o.version))
			}
			if plain := withoutVersion(source); withoutVersion(plain) != plain || !strings.HasPrefix(strings.ToLower(source), strings.ToLower(plain)) {
				t.Errorf("%q is without its version %q", source, plain)
			}
		}
		if strings.HasPrefix(source, "hf://") {
			if p, err := parseHub(source); err == nil {
				again, err := parseHub(p.String())
				if err != nil || again != p || strings.Contains("/"+p.repo+"/", "/../") || p.file != "" && checkPath(p.file) != nil {
					t.Errorf("%q is %+v, and that %+v, %v", source, p, again, err)
				}
			}
		}
		if ref, file, err := parseOCI(source); err == nil {
			if file != "" && checkPath(file) != nil || !strings.HasPrefix(source, "oci://") || !strings.Contains(source, ref.DigestStr()) {
				t.Errorf("%q is %s and %q", source, ref, file)
			}
		}
		if r, err := ParseReference(source); err == nil {
			text := r.Repository
			if r.Tag != "" {
				text += ":" + r.Tag
			}
			if r.Digest != "" {
				text += "@" + r.Digest
			}
			again, err := ParseReference(r.String())
			if text != source || err != nil || again.Repository != r.Repository || again.Digest != r.Digest {
				t.Errorf("%q is %+v, and that %+v, %v", source, r, again, err)
			}
		}
	})
}

// FuzzPointer: a pointer names content by its hash and size, and is written and read as the same.
func FuzzPointer(f *testing.F) {
	oid := strings.Repeat("0a", 32)
	f.Add([]byte(lfsPointer + "v1\noid sha256:" + oid + "\nsize 12\n"))
	f.Add([]byte(lfsPointer + "v1\next-0-x sha256:" + oid + "\noid sha256:" + oid + "\nsize -1\n"))
	f.Add([]byte(lfsPointer + "v1\noid sha256:../../" + oid + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := ParsePointer(data)
		if !ok {
			return
		}
		text := fmt.Sprintf("%sv1\noid sha256:%s\nsize %d\n", lfsPointer, p.SHA256, p.Size)
		if again, ok := ParsePointer([]byte(text)); !ok || again != p || !sha256Hex.MatchString(p.SHA256) || p.Size < 0 {
			t.Errorf("%q is %+v, and that %+v", data, p, again)
		}
		if !strings.Contains(string(data), "size") {
			t.Errorf("%q has no size", data)
		}
	})
}
