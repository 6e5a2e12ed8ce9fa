package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const license = "Apache-2.0"

// epoch is the time of everything: a build's own would change its digest.
var epoch = time.Unix(0, 0).UTC()

// document says what a program was made of, by what the linker wrote into it, and which modules come beside it.
func (o order) document(p *program, beside ...*debug.Module) (document, error) {
	data, err := os.ReadFile(p.path)
	if err != nil {
		return document{}, err
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	d := newDocument("davit-"+p.system+"-"+p.architecture, digest)
	const davit = "SPDXRef-davit"
	root := pkg{
		ID: davit, Name: p.info.Main.Path, Version: o.version, LicenseDeclared: license, Purpose: "APPLICATION",
		Checksums: []checksum{{"SHA256", digest}}, Refs: purl("golang", p.info.Main.Path, o.version),
	}
	if o.commit != "" {
		root.DownloadLocation = "git+https://" + p.info.Main.Path + "@" + o.commit
	}
	d.add(root, rootID, "DESCRIBES")
	goVersion := strings.TrimPrefix(p.info.GoVersion, "go")
	d.add(pkg{ID: "SPDXRef-stdlib", Name: "stdlib", Version: goVersion, LicenseDeclared: "BSD-3-Clause", Refs: purl("golang", "stdlib", goVersion)}, davit, "DEPENDS_ON")
	for _, m := range p.info.Deps {
		if err := d.module(m, davit, "DEPENDS_ON"); err != nil {
			return d, err
		}
	}
	for _, m := range beside {
		if err := d.module(m, davit, "DEPENDS_ON"); err != nil {
			return d, err
		}
	}
	return d, nil
}

var notInID = regexp.MustCompile(`[^a-zA-Z0-9.-]+`)

// module adds one, with the checksum of go.sum: SHA-256 over the list of its files and their hashes
// (golang.org/x/mod/sumdb/dirhash, Hash1).
func (d *document) module(m *debug.Module, from, how string) error {
	if m.Replace != nil {
		m = m.Replace
	}
	p := pkg{
		ID: "SPDXRef-" + notInID.ReplaceAllString(m.Path+"-"+m.Version, "-"), Name: m.Path, Version: m.Version,
		Refs: purl("golang", m.Path, m.Version),
	}
	if m.Sum != "" {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
		if err != nil {
			return fmt.Errorf("checksum %q of %s: %w", m.Sum, m.Path, err)
		}
		p.Checksums = []checksum{{"SHA256", hex.EncodeToString(sum)}}
	}
	d.add(p, from, how)
	return nil
}

// purl is a package URL (https://github.com/package-url/purl-spec): "+" is written as %2B in it.
func purl(kind, name, version string) []reference {
	return []reference{{"PACKAGE-MANAGER", "purl", "pkg:" + kind + "/" + name + "@" + strings.ReplaceAll(version, "+", "%2B")}}
}

// carried are the modules that an image has data of: the certificates'. It is as this program was built with it.
func carried() []*debug.Module {
	info, _ := debug.ReadBuildInfo()
	i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == "golang.org/x/crypto/x509roots/fallback" })
	if i < 0 {
		return nil
	}
	return info.Deps[i : i+1]
}

// documentOver says which platforms' documents an index stands over.
func (o order) documentOver(index v1.Hash, all []document) document {
	const root = "SPDXRef-index"
	d := newDocument("davit", index.Hex)
	d.add(pkg{
		ID: root, Name: "davit", Version: o.version, LicenseDeclared: license, Purpose: "CONTAINER",
		Checksums: []checksum{{"SHA256", index.Hex}}, Refs: purl("oci", "davit", index.Algorithm+"%3A"+index.Hex),
	}, rootID, "DESCRIBES")
	for _, one := range all {
		text, _ := json.Marshal(one)
		sum := sha1.Sum(text) // the specification wants this one
		id := "DocumentRef-" + one.Name
		d.External = append(d.External, external{id, checksum{"SHA1", hex.EncodeToString(sum[:])}, one.Namespace})
		d.Relationships = append(d.Relationships, relationship{root, "CONTAINS", id + ":SPDXRef-davit"})
	}
	return d
}
