package gitops

import (
	"bufio"
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/hash"
)

// maxPacks is how many packs a mirror may have: every lookup asks one after the other, and each fetch adds one.
const maxPacks = 50

// pack is a pack file without its ending, and its size.
type pack struct {
	base string
	size int64
}

// join makes one pack of the small ones of a folder when there are many. Their bodies are copied as they are: a delta
// names its base by its distance, or by its hash, and both stay right; go-git's own repacking takes apart and
// compresses every object anew. Whoever reads a pack that goes finds the object in the new one, which is there first.
func join(dir string) (joined bool, err error) {
	packs, err := smallPacks(dir)
	if err != nil || len(packs) <= maxPacks {
		return false, err
	}
	out, err := os.CreateTemp(dir, "tmp_pack_")
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(out.Name())
		}
	}()
	index, err := writeJoined(out, packs)
	if err := errors.Join(err, out.Close()); err != nil {
		return false, err
	}
	base := filepath.Join(dir, "pack-"+plumbing.Hash(index.PackfileChecksum).String())
	if err := os.Chmod(out.Name(), 0o444); err != nil {
		return false, err
	}
	if err := os.Rename(out.Name(), base+".pack"); err != nil {
		return false, err
	}
	if err := writeIndex(base+".idx", index); err != nil {
		return false, err
	}
	for _, p := range packs {
		for _, ext := range []string{".idx", ".rev", ".bitmap", ".pack"} {
			if err := os.Remove(p.base + ext); err != nil && !errors.Is(err, os.ErrNotExist) {
				return true, err
			}
		}
	}
	return true, nil
}

// smallPacks are those that are smaller than all the smaller ones together, so that a clone's pack is not copied for
// every fifty commits. None in a repository that git's own maintenance has indexed across its packs.
func smallPacks(dir string) (packs []pack, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, e := range entries {
		base, isIndex := strings.CutSuffix(filepath.Join(dir, e.Name()), ".idx")
		if e.Name() == "multi-pack-index" {
			return nil, nil
		}
		info, err := os.Stat(base + ".pack")
		_, keep := os.Stat(base + ".keep")
		if !isIndex || err != nil || keep == nil {
			continue
		}
		packs, total = append(packs, pack{base, info.Size()}), total+info.Size()
	}
	small := packs[:0]
	for _, p := range packs {
		if p.size <= total-p.size {
			small = append(small, p)
		}
	}
	return small, nil
}

// A pack begins with its signature, version and number of objects, and ends with a checksum (gitformat-pack(5)).
const packHeader, packTrailer = 12, 20

// writeJoined writes the bodies of packs one after the other and returns the index of the whole. An object that two of
// them have is in it twice, which Git allows: without it the distances to delta bases would be wrong.
func writeJoined(out *os.File, packs []pack) (*idxfile.MemoryIndex, error) {
	var entries []idxfile.Entry
	at := int64(packHeader)
	for _, p := range packs {
		var err error
		if entries, err = appendEntries(entries, p, at-packHeader); err != nil {
			return nil, fmt.Errorf("reading %s.idx: %w", filepath.Base(p.base), err)
		}
		at += p.size - packHeader - packTrailer
	}
	sum := hash.New(crypto.SHA1)
	buffered := bufio.NewWriter(out)
	to := io.MultiWriter(buffered, sum)
	if _, err := to.Write(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(entries)))); err != nil {
		return nil, err
	}
	for _, p := range packs {
		if err := copyBody(to, p); err != nil {
			return nil, fmt.Errorf("reading %s.pack: %w", filepath.Base(p.base), err)
		}
	}
	index := newIndex(entries)
	copy(index.PackfileChecksum[:], sum.Sum(nil))
	if _, err := buffered.Write(index.PackfileChecksum[:]); err != nil {
		return nil, err
	}
	return index, errors.Join(buffered.Flush(), out.Sync())
}

// copyBody copies what is between a pack's header and its trailer.
func copyBody(to io.Writer, p pack) error {
	f, err := os.Open(p.base + ".pack")
	if err != nil {
		return err
	}
	defer f.Close()
	start := make([]byte, 8)
	if _, err := f.ReadAt(start, 0); err != nil || !bytes.Equal(start, []byte("PACK\x00\x00\x00\x02")) {
		return errors.Join(errors.New("not a pack of version 2"), err)
	}
	length := p.size - packHeader - packTrailer
	n, err := io.Copy(to, io.NewSectionReader(f, packHeader, length))
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// appendEntries adds the entries of a pack's index, as many bytes later.
func appendEntries(to []idxfile.Entry, p pack, later int64) ([]idxfile.Entry, error) {
	f, err := os.Open(p.base + ".idx")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(index); err != nil {
		return nil, err
	}
	entries, err := index.Entries()
	if err != nil {
		return nil, err
	}
	defer entries.Close()
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return to, nil
		}
		if err != nil {
			return nil, err
		}
		to = append(to, idxfile.Entry{Hash: e.Hash, CRC32: e.CRC32, Offset: e.Offset + uint64(later)})
	}
}

// newIndex sorts entries into an index (gitformat-pack(5), version 2). go-git's own Writer drops an object's second
// entry, and git then finds fewer than the pack has.
func newIndex(entries []idxfile.Entry) *idxfile.MemoryIndex {
	slices.SortFunc(entries, func(a, b idxfile.Entry) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	index := idxfile.NewMemoryIndex()
	index.Version = idxfile.VersionSupported
	for i := range index.FanoutMapping {
		index.FanoutMapping[i] = -1
	}
	for i, e := range entries {
		first := e.Hash[0]
		if index.FanoutMapping[first] < 0 {
			index.FanoutMapping[first] = len(index.Names)
			index.Names, index.Offset32, index.CRC32 = append(index.Names, nil), append(index.Offset32, nil), append(index.CRC32, nil)
		}
		b, offset := index.FanoutMapping[first], uint32(e.Offset)
		if e.Offset >= 1<<31 {
			offset = 1<<31 | uint32(len(index.Offset64)/8)
			index.Offset64 = binary.BigEndian.AppendUint64(index.Offset64, e.Offset)
		}
		index.Names[b] = append(index.Names[b], e.Hash[:]...)
		index.Offset32[b] = binary.BigEndian.AppendUint32(index.Offset32[b], offset)
		index.CRC32[b] = binary.BigEndian.AppendUint32(index.CRC32[b], e.CRC32)
		index.Fanout[first] = uint32(i + 1)
	}
	for i := 1; i < 256; i++ {
		index.Fanout[i] = max(index.Fanout[i], index.Fanout[i-1])
	}
	return index
}

// writeIndex writes an index whole or not at all.
func writeIndex(name string, index *idxfile.MemoryIndex) error {
	f, err := os.CreateTemp(filepath.Dir(name), "tmp_idx_")
	if err != nil {
		return err
	}
	_, err = idxfile.NewEncoder(f).Encode(index)
	if err = errors.Join(err, f.Sync(), f.Chmod(0o444), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
