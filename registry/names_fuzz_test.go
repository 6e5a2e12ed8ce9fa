package registry

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// FuzzNames holds what names may be against Kubernetes' own rules, and repositories against those of OCI registries: what is
// taken here is taken there.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"iris", "a-b", "-a", "A", strings.Repeat("a", 64), "a.b", "*.example.com", "example.com/models", "localhost:5000/a/b__c", "a..b/c", "1:2/3", "v1.0_x", "example.com:5000/a/b:v1", strings.Repeat("0", 250)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := dnsLabel.ok(s), len(validation.IsDNS1123Label(s)) == 0; got != want {
			t.Errorf("label %q: %v", s, got)
		}
		for what, c := range map[string]struct {
			ok    bool
			wrong []string
		}{
			"version":    {versionName.ok(s), validation.IsValidLabelValue(s)},
			"object":     {objectName.ok(s), validation.IsDNS1123Subdomain(s)},
			"node label": {labelKey.ok(s), validation.IsQualifiedName(s)},
			"variable":   {envName.ok(s), validation.IsEnvVarName(s)},
		} {
			if c.ok && len(c.wrong) > 0 {
				t.Errorf("%s %q: %v", what, s, c.wrong)
			}
		}
		if repository.MatchString(s) && len(s) <= longestImages {
			if _, err := name.NewRepository(s + "/" + strings.Repeat("a", 63)); err != nil {
				t.Errorf("repository %q: %v", s, err)
			}
		}
		if ref := s + "@sha256:" + strings.Repeat("0a", 32); imageFault(ref) == "" {
			if _, err := name.NewDigest(ref); err != nil {
				t.Errorf("image %q: %v", ref, err)
			}
		}
		if key, err := ParseKey(s); err == nil {
			if again, err := ParseKey(key.String()); err != nil || again != key || key.String() != s {
				t.Errorf("%q is %v, and that %v", s, key, again)
			}
		}
	})
}

// FuzzQuantity holds quantities against Kubernetes' own parser.
func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"1", "0.5", "500m", "16Gi", "1e3", "1E", "1E6", "0", "00.10Ki", "-1", "1.", "1e999999999", "88888888888888888888e888888", "1" + strings.Repeat("0", 200_000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !quantity.MatchString(s) {
			return
		}
		q, err := resource.ParseQuantity(s)
		if err != nil || q.Sign() < 0 {
			t.Errorf("%q is %s, %v", s, q.String(), err)
		}
	})
}
