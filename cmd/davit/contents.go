package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// maxHashed is the largest file that validate reads: a second's work. What is larger, its build finds.
const maxHashed = 256 << 20

// contents holds the files that a change brings against what their versions say of them: a build would stop at one that is
// another, after the merge.
func (c *against) contents(changed []string, out *checked) error {
	for _, name := range sorted(c.after.Models) {
		versions := c.after.Models[name].Versions
		for _, version := range sorted(versions) {
			v := versions[version]
			for i, f := range v.Spec.Files {
				if _, found := slices.BinarySearch(changed, f.Source); !found {
					continue
				}
				is, err := digest(c.fsys, f)
				if err != nil {
					return fmt.Errorf("reading %s: %w", f.Source, err)
				}
				if is != "" && is != f.SHA256 {
					out.faults = append(out.faults, registry.Fault{Path: v.Path, Line: v.FileLines[i], Text: fmt.Sprintf(
						"%s is not the file that version %q of model %q has (sha256 %.12s…); bring that back, or write another version with davit add", f.Source, version, name, f.SHA256)})
				}
			}
		}
	}
	return nil
}

// digest is a file's sha256, or what stands for another; "" for one that is told of elsewhere or too large to read.
func digest(fsys fs.FS, f registry.File) (string, error) {
	info, err := fs.Stat(fsys, f.Source)
	if err != nil || !info.Mode().IsRegular() {
		return "", nil
	}
	file, err := fsys.Open(f.Source)
	if err != nil {
		return "", err
	}
	defer file.Close()
	head, err := io.ReadAll(io.LimitReader(file, 1<<10))
	if err != nil {
		return "", err
	}
	if p, ok := image.ParsePointer(head); ok {
		return p.SHA256, nil
	}
	switch {
	case info.Size() != f.Size:
		return "another size", nil
	case f.Size > maxHashed:
		return "", nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.MultiReader(bytes.NewReader(head), file)); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
