package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writeBinaries writes each program and its SBOM, and the checksums of all of them as sha256sum writes them.
func (o order) writeBinaries(all []*program, stdout io.Writer) error {
	if err := os.MkdirAll(o.binaries, 0o755); err != nil {
		return err
	}
	var sums []string
	keep := func(name string, data []byte, mode os.FileMode) error {
		sums = append(sums, fmt.Sprintf("%x  %s\n", sha256.Sum256(data), name))
		fmt.Fprintln(stdout, filepath.Join(o.binaries, name))
		return replace(filepath.Join(o.binaries, name), data, mode)
	}
	for _, p := range all {
		data, err := os.ReadFile(p.path)
		if err != nil {
			return err
		}
		d, err := o.document(p)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return err
		}
		name := filepath.Base(p.path)
		if err := keep(name, data, 0o755); err != nil {
			return err
		}
		if err := keep(name+".spdx.json", append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	slices.SortFunc(sums, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
	name := filepath.Join(o.binaries, "checksums.txt")
	fmt.Fprintln(stdout, name)
	return replace(name, []byte(strings.Join(sums, "")), 0o644)
}

// replace writes a file anew: one that is there keeps its mode otherwise, and one that runs can't be written.
func replace(name string, data []byte, mode os.FileMode) error {
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(name, data, mode)
}
