package gitops

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// leaf is what a path shall be: mode and hash of a blob, or nothing where mode is 0.
type leaf struct {
	mode uint32
	hash Hash
}

// edit makes a tree from base with other leaves at some paths. Only the folders on the way are read and written; a
// folder that becomes empty vanishes, and the zero hash is a tree without entries.
func (b *batch) edit(ctx context.Context, base Hash, leaves map[string]leaf) (Hash, error) {
	if err := ctx.Err(); err != nil {
		return Hash{}, err
	}
	f, err := b.source.trees.get(base)
	if err != nil {
		return Hash{}, err
	}
	here, below := map[string]leaf{}, map[string]map[string]leaf{}
	for name, l := range leaves {
		if folder, rest, deep := strings.Cut(name, "/"); deep {
			if below[folder] == nil {
				below[folder] = map[string]leaf{}
			}
			below[folder][rest] = l
		} else {
			here[name] = l
		}
	}
	entries, entered, err := keep(f, here, below)
	if err != nil {
		return Hash{}, err
	}
	for name, leaves := range below {
		old, had := entered[name]
		var sub Hash
		if old.isDir() {
			sub = old.hash
		}
		h, err := b.edit(ctx, sub, leaves)
		l, touched := here[name]
		switch {
		case err != nil:
			return Hash{}, err
		case !h.IsZero() && l.mode != 0:
			return Hash{}, fmt.Errorf("%s would be a file and a folder", name)
		case !h.IsZero():
			entries = append(entries, entry{modeDir, []byte(name), h})
		case had && !old.isDir() && !touched: // nothing was to be below a file
			entries = append(entries, old)
		}
	}
	for name, l := range here {
		if l.mode != 0 {
			entries = append(entries, entry{l.mode, []byte(name), l.hash})
		}
	}
	if len(entries) == 0 {
		return Hash{}, nil
	}
	slices.SortFunc(entries, order)
	return b.add(plumbing.TreeObject, encodeTree(entries))
}

// keep are the entries that no leaf touches, and those that leaves go into.
func keep(f *folder, here map[string]leaf, below map[string]map[string]leaf) (entries []entry, entered map[string]entry, err error) {
	entered = map[string]entry{}
	for rest := f.raw; len(rest) > 0; {
		var e entry
		if e, rest, err = next(rest); err != nil {
			return nil, nil, err
		}
		_, replaced := here[string(e.name)]
		if _, inside := below[string(e.name)]; inside {
			entered[string(e.name)] = e
		} else if !replaced {
			entries = append(entries, e)
		}
	}
	return entries, entered, nil
}

func encodeTree(entries []entry) []byte {
	var out bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&out, "%o %s\x00", e.mode, e.name)
		out.Write(e.hash[:])
	}
	return out.Bytes()
}
