package registry

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// nameRule is a pattern with the words that explain it.
type nameRule struct {
	pattern *regexp.Regexp
	longest int
	text    string
}

func (r nameRule) ok(s string) bool { return len(s) <= r.longest && r.pattern.MatchString(s) }

var (
	label       = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	dnsLabel    = nameRule{label, 63, "a DNS label (lower-case letters, digits and -, at most 63)"}
	releaseName = nameRule{label, 40, "a DNS label of at most 40 characters"}
	// versionName is also a label value on objects.
	versionName = nameRule{regexp.MustCompile(`^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$`), 63, "letters, digits, '.', '-' and '_', at most 63"}
	envName     = nameRule{regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`), 255, "a variable name (letters, digits and _)"}

	argName = nameRule{regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`), 100, "an argument's name (letters, digits, '.', '-' and '_'; davit writes the -- before it)"}

	// evidenceName is a file's, without what comes after its first dot.
	evidenceName = nameRule{regexp.MustCompile(`^[A-Za-z0-9][-_A-Za-z0-9]*$`), 100, "the name of a file without its ending (letters, digits, '-' and '_')"}

	digestHex  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	imageRef   = regexp.MustCompile(`^((([a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(:[0-9]+)?|[a-zA-Z0-9-]+:[0-9]+)/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*)(:\w[\w.-]{0,127})?@sha256:[0-9a-f]{64}$`)
	repository = regexp.MustCompile(`^([a-z0-9]+(-+[a-z0-9]+)*|[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(:[0-9]+)?|[a-zA-Z0-9-]+:[0-9]+)(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)
	// quantity is bounded: an API server takes minutes and more to read one of a million digits, or with an exponent of six.
	quantity = regexp.MustCompile(`^[0-9]{1,30}(\.[0-9]{1,30})?([eE][0-9]{1,2}|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$`)
	hostname = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	gateway  = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`)
	minor    = regexp.MustCompile(`^1\.[0-9]+$`)
)

// imageFault says what is wrong with a reference that is not an image by digest, and is empty for one that is.
func imageFault(ref string) string {
	if m := imageRef.FindStringSubmatch(ref); m != nil && len(m[1]) <= longestRepository {
		return ""
	}
	before, digest, _ := strings.Cut(ref, "@sha256:")
	switch {
	case strings.Contains(before, "@"):
		return "image carries credentials, which Git keeps for ever; leave them out: pull secrets have them"
	case digestHex.MatchString(digest):
		return fmt.Sprintf("image %q is no name that a kubelet takes: write host/path@sha256:… or host/path:tag@sha256:…, the path in lower case, host and path of at most %d characters", ref, longestRepository)
	}
	return fmt.Sprintf("image %q has no digest; write name@sha256:…", ref)
}

// maxFiles is what one model image holds: containerd fails to mount 600 layers.
const maxFiles = 300

// faultsOf collects faults of one document, each at the line of the field it is about.
type faultsOf struct {
	doc    *document
	faults []Fault
}

func (f *faultsOf) add(field []string, format string, args ...any) {
	f.faults = append(f.faults, Fault{f.doc.path, line(f.doc.spec, field...), said(format, args...)})
}

const (
	// longestRepository is what containerd takes for a repository's name with its host, less what a name without one gets.
	longestRepository = 255 - len("docker.io/library/")
	// longestImages leaves room in the 255 characters of a repository's name for a slash and a model's.
	longestImages = 255 - 1 - 63
)

// ociTag is what a tag may be (OCI distribution spec), less what is added to it.
var ociTag = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,79}$`)

func checkImages(doc *document, spec *RegistrySpec) []Fault {
	f := faultsOf{doc: doc}
	if strings.Contains(spec.Images, "@") {
		f.add([]string{"images"}, "images carries credentials, or a digest; write a prefix such as registry.example.com/models")
	} else if len(spec.Images) > longestImages {
		f.add([]string{"images"}, "images: a prefix of %d characters, and a repository of an OCI registry has 255 with the model's name; write at most %d", len(spec.Images), longestImages)
	} else if !repository.MatchString(spec.Images) {
		f.add([]string{"images"}, "images: %q is not an OCI repository prefix; write one such as registry.example.com/models", spec.Images)
	}
	return f.faults
}

func checkEnvironment(doc *document, env *Environment) []Fault {
	f := faultsOf{doc: doc}
	if env.Spec.Namespace == "" {
		env.Spec.Namespace = env.Name
	}
	if !dnsLabel.ok(env.Spec.Namespace) {
		f.add([]string{"namespace"}, "namespace %q is not %s", env.Spec.Namespace, dnsLabel.text)
	}
	checkCapabilities(&f, env.Spec.Capabilities)
	policies := []string{"rollback", "hold"}
	if p := env.Spec.Rollback.OnFailure; p != "" && !slices.Contains(policies, p) {
		f.add([]string{"rollback", "onFailure"}, "onFailure: %q is not known%s", p, nearest(p, policies))
	}
	proposals := []string{"propose", "none"}
	if p := env.Spec.Rollback.Git; p != "" && !slices.Contains(proposals, p) {
		f.add([]string{"rollback", "git"}, "git: %q is not known%s", p, nearest(p, proposals))
	}
	if n := env.Spec.Prune.MaxDeletions; n < 0 {
		f.add([]string{"prune", "maxDeletions"}, "maxDeletions: %d is less than 0", n)
	}
	for i, kind := range env.Spec.AllowCode {
		if kind != Pickle && kind != Python {
			f.add([]string{"allowCode", strconv.Itoa(i)}, "allowCode: %q is not known%s", kind, nearest(kind, []string{Pickle, Python}))
		}
	}
	checkImagePolicy(&f, env.Spec.Images)
	drifts := []string{"correct", "report"}
	if d := env.Spec.Drift; d != "" && !slices.Contains(drifts, d) {
		f.add([]string{"drift"}, "drift: %q is not known%s", d, nearest(d, drifts))
	}
	checkServingPolicy(&f, &env.Spec)
	checkPublisher(&f, env.Spec.Publisher)
	checkPullSecrets(&f, env.Spec.PullSecrets)
	checkFleet(&f, &env.Spec.Fleet)
	checkHealth(&f, env.Spec.HealthCheckExprs)
	if env.Spec.Promote != (PromoteRule{}) {
		if text := checkRule(env.Spec.Promote, env.Name); text != "" {
			f.add([]string{"promote"}, "%s", text)
		}
	}
	env.Spec.Policy.Check(func(field []string, text string) { f.add(field, "%s", text) })
	return f.faults
}

func checkImagePolicy(f *faultsOf, p ImagePolicy) {
	for i, key := range p.Keys {
		block, rest := pem.Decode([]byte(key))
		if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
			f.add([]string{"images", "keys", strconv.Itoa(i)}, "images.keys: is not one public key in PEM, as cosign public-key prints it")
		} else if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			f.add([]string{"images", "keys", strconv.Itoa(i)}, "images.keys: %v", err)
		}
	}
	if p.Tag != "" && !ociTag.MatchString(p.Tag) {
		f.add([]string{"images", "tag"}, "images.tag: %q can't be a tag", p.Tag)
	}
	if p.Provenance && len(p.Keys) == 0 {
		f.add([]string{"images", "provenance"}, "images.provenance needs images.keys: whose provenance counts")
	}
}

func checkModelVersion(doc *document, v *ModelVersion) []Fault {
	f := faultsOf{doc: doc}
	if len(v.Spec.Files) == 0 {
		f.add([]string{"files"}, "spec.files is missing or empty; run davit add to write it")
	}
	if len(v.Spec.Files) > maxFiles {
		f.add([]string{"files"}, "%d files; a model image holds at most %d", len(v.Spec.Files), maxFiles)
		return f.faults
	}
	places := map[string]bool{}
	for _, file := range v.Spec.Files {
		places[file.Path] = true
	}
	seen := map[string]bool{}
	for i, file := range v.Spec.Files {
		v.FileLines = append(v.FileLines, fileLine(doc, i))
		at := func(format string, args ...any) {
			fault := Fault{doc.path, fileLine(doc, i), said(format, args...)}
			f.faults = append(f.faults, fault)
		}
		if !cleanPath(file.Path) {
			at("path %q is not a relative path within the model", file.Path)
		}
		if strings.ContainsFunc(file.Path, unicode.IsControl) {
			at("path %q has a control character; rename it", file.Path)
		}
		for dir := file.Path; dir != "." && dir != "/"; dir = path.Dir(dir) {
			if strings.HasPrefix(path.Base(dir), ".wh.") {
				at("path %q: names that begin with .wh. delete files in an OCI image; rename it", file.Path)
			}
			if dir != file.Path && places[dir] {
				at("path %q: %q is a file too, and can't be its folder; rename one", file.Path, dir)
			}
		}
		if seen[file.Path] {
			at("path %q is listed twice", file.Path)
		}
		seen[file.Path] = true
		if file.Source == "" {
			at("source of %q is missing; write a path in the repository or a URL", file.Path)
		} else if !strings.Contains(file.Source, "://") && !cleanPath(file.Source) {
			at("source %q is not a path from the repository's root", file.Source)
		} else if err := checkSource(file.Source); err != nil {
			at("%v", err)
		}
		if !digestHex.MatchString(file.SHA256) {
			at("sha256 of %q is not 64 lower-case hex digits; run davit add to write it", file.Path)
		}
		if file.Size < 0 {
			at("size of %q is less than 0", file.Path)
		}
	}
	return f.faults
}

// fileLine is the line of the i-th entry of spec.files.
func fileLine(doc *document, i int) int {
	at := find(doc.spec, "files")
	return doc.spec.Content[at+1].Content[i].Line
}

// cleanPath says whether p is relative, in its shortest form and stays inside.
func cleanPath(p string) bool {
	return p != "" && p != "." && path.Clean(p) == p && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "\\\x00")
}
