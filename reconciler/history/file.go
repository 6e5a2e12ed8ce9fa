package history

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"

	"github.com/davit-dev/davit/gitops"
)

// format is the version of the index's file. One of another version has another name and is left alone.
const format = 1

var (
	magic      = fmt.Sprintf("davit history %d\n", format)
	errDamaged = errors.New("the index is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func fileIn(gitDir, folder string) string {
	name := fmt.Sprintf("history-%d", format)
	if folder != "" {
		sum := sha256.Sum256([]byte(folder)) // a repository may have several registries
		name += "-" + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(gitDir, "davit", name)
}

// load reads the index from its file. One that is missing, damaged or of another davit's making is made anew, as is one
// of a shallow clone that was deepened.
func (h *History) load() *index {
	data, err := os.ReadFile(h.file)
	if err != nil {
		return newIndex()
	}
	x, err := decode(data)
	if err != nil || len(x.entries) == 0 {
		return newIndex()
	}
	if shallow, err := h.source.Shallow(x.entries[0].commit); err != nil || shallow != x.shallow {
		return newIndex()
	}
	return x
}

// save writes the index whole and renames it into place. In a folder that can't be written to the index lives as long
// as the process.
func (h *History) save() {
	dir := filepath.Dir(h.file)
	if os.Mkdir(dir, 0o777) != nil {
		if _, err := os.Stat(dir); err != nil {
			return
		}
	}
	f, err := os.CreateTemp(dir, "history-*.tmp")
	if err != nil {
		return
	}
	_, err = f.Write(h.index.encode())
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), h.file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// encode writes numbers as varints, names once, and a checksum at the end: 10,000 releases and 2,000 commits take
// about a megabyte.
func (x *index) encode() []byte {
	b := []byte(magic)
	b = binary.AppendUvarint(b, uint64(len(x.names)))
	for _, name := range x.names {
		b = binary.AppendUvarint(b, uint64(len(name)))
	}
	for _, name := range x.names {
		b = append(b, name...)
	}
	b = append(b, 0)
	if x.shallow {
		b[len(b)-1] = 1
	}
	b = binary.AppendUvarint(b, uint64(len(x.entries)))
	for _, e := range x.entries {
		b = binary.AppendVarint(append(b, e.commit[:]...), e.time)
		b = binary.AppendUvarint(b, uint64(len(e.records)))
		for _, r := range e.records {
			b = binary.AppendUvarint(b, uint64(r.release)<<2|uint64(r.kind))
			if r.kind == changed {
				b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.version)), uint64(r.model))
				b = append(b, r.key[:]...)
			}
		}
	}
	return seal(b)
}

// seal adds the checksum.
func seal(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)) }

// decode reads what encode wrote. Anything else is errDamaged.
func decode(data []byte) (*index, error) {
	body, ok := strings.CutPrefix(string(data), magic)
	if !ok || len(body) < 4 {
		return nil, errDamaged
	}
	sum := binary.BigEndian.Uint32(data[len(data)-4:])
	if crc32.Checksum(data[:len(data)-4], castagnoli) != sum {
		return nil, errDamaged
	}
	d := &decoder{rest: body[:len(body)-4]}
	x := &index{names: make([]string, d.count(1))}
	lengths := make([]int, len(x.names))
	for i := range lengths {
		lengths[i] = d.count(1)
	}
	for i, n := range lengths {
		x.names[i] = d.bytes(n)
	}
	x.shallow = d.bytes(1) == "\x01"
	x.entries = make([]entry, d.count(len(gitops.Hash{})))
	for i := range x.entries {
		x.entries[i] = d.entry(len(x.names))
	}
	if d.bad || len(d.rest) > 0 || len(x.names) == 0 || x.names[0] != "" {
		return nil, errDamaged
	}
	return x, nil
}

// decoder cuts values off a text. After the first that is not there it is bad and gives zeros.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) bytes(n int) string {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return ""
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.bytes(1)
		if d.bad {
			return 0
		}
		v |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return v
		}
	}
	d.bad = true
	return 0
}

// count reads how many values of at least so many bytes follow; there are never more than fit.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/size) {
		d.bad = true
		return 0
	}
	return int(n)
}

// number reads the number of a name.
func (d *decoder) number(names int) uint32 {
	n := d.uvarint()
	if n >= uint64(names) {
		d.bad = true
		return 0
	}
	return uint32(n)
}

func (d *decoder) entry(names int) (e entry) {
	copy(e.commit[:], d.bytes(len(e.commit)))
	zigzag := d.uvarint()
	e.time = int64(zigzag>>1) ^ -int64(zigzag&1)
	if n := d.count(1); n > 0 {
		e.records = make([]record, n)
	}
	for i := range e.records {
		r := &e.records[i]
		v := d.uvarint()
		if r.kind = kind(v & 3); r.kind > broken || v>>2 >= uint64(names) {
			d.bad = true
			return e
		}
		if r.release = uint32(v >> 2); r.kind == changed {
			r.version, r.model = d.number(names), d.number(names)
			copy(r.key[:], d.bytes(len(r.key)))
		}
	}
	return e
}
