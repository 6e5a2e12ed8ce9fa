package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Decode reads a whole safetensors file and trusts nothing in it: every
// length, offset and shape must agree with the bytes that are there, the
// tensors must cover the data without gap or overlap, and no name may come
// twice. Byte positions in its errors count from the start of the data.
func Decode(file []byte) (File, error) {
	header, data, err := split(file)
	if err != nil {
		return File{}, err
	}
	metadata, entries, err := parseHeader(header)
	if err != nil {
		return File{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if err := entries[name].check(len(data)); err != nil {
			return File{}, fmt.Errorf("tensor %q %w", name, err)
		}
	}
	if err := checkCover(entries, len(data)); err != nil {
		return File{}, err
	}
	f := File{Metadata: metadata, Tensors: make(map[string]Tensor, len(entries))}
	for name, e := range entries {
		f.Tensors[name] = Tensor{Shape: e.Shape, Data: floats(data[e.Offsets[0]:e.Offsets[1]])}
	}
	return f, nil
}

func split(file []byte) (header, data []byte, err error) {
	if len(file) < lengthSize {
		return nil, nil, fmt.Errorf("file of %d bytes is too short for a header", len(file))
	}
	n, rest := binary.LittleEndian.Uint64(file), file[lengthSize:]
	if n > maxHeader {
		return nil, nil, fmt.Errorf("header of %d bytes is above the limit of %d", n, maxHeader)
	}
	if n > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("header of %d bytes in a file of %d", n, len(file))
	}
	if n == 0 || rest[0] != '{' {
		return nil, nil, errors.New("header is not a JSON object")
	}
	return rest[:n], rest[n:], nil
}

// parseHeader walks the object key by key, because unmarshalling into a map
// lets a second key of the same name win in silence.
func parseHeader(header []byte) (map[string]string, map[string]entry, error) {
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.DisallowUnknownFields()
	if _, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("parsing header: %w", err)
	}
	var metadata map[string]string
	entries, seen := map[string]entry{}, map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("parsing header: %w", err)
		}
		name, _ := token.(string) // a key of an object is always a string
		if seen[name] {
			return nil, nil, fmt.Errorf("header names %q twice", name)
		}
		seen[name] = true
		if name == metadataKey {
			err = dec.Decode(&metadata)
		} else {
			var e entry
			err = dec.Decode(&e)
			entries[name] = e
		}
		if err != nil {
			return nil, nil, fmt.Errorf("parsing header entry %q: %w", name, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("parsing header: %w", err)
	}
	if rest := header[dec.InputOffset():]; len(bytes.Trim(rest, " ")) > 0 {
		return nil, nil, errors.New("header goes on after its JSON object")
	}
	return metadata, entries, nil
}

// check reports what is wrong with e, to be read after the tensor's name.
func (e entry) check(size int) error {
	if e.DType != dtypeF32 {
		return fmt.Errorf("has dtype %q, want %q", e.DType, dtypeF32)
	}
	if len(e.Offsets) != 2 {
		return fmt.Errorf("has %d data_offsets, want 2", len(e.Offsets))
	}
	begin, end := e.Offsets[0], e.Offsets[1]
	if end > int64(size) {
		return fmt.Errorf("ends at byte %d of %d", end, size)
	}
	if begin < 0 || begin > end {
		return fmt.Errorf("has data_offsets %d to %d", begin, end)
	}
	if e.Shape == nil {
		return errors.New("has no shape")
	}
	n, ok := elements(e.Shape)
	if !ok || int64(n)*float32Size != end-begin {
		return fmt.Errorf("has %d bytes for shape %v", end-begin, e.Shape)
	}
	return nil
}

// checkCover makes sure that each byte of the data belongs to one tensor, so
// that nothing hides in a file (the format's "no holes" rule).
func checkCover(entries map[string]entry, size int) error {
	names := slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		return cmp.Or(slices.Compare(entries[a].Offsets, entries[b].Offsets), cmp.Compare(a, b))
	})
	var at int64
	for _, name := range names {
		e := entries[name]
		if e.Offsets[0] != at {
			return fmt.Errorf("tensor %q begins at byte %d, want %d", name, e.Offsets[0], at)
		}
		at = e.Offsets[1]
	}
	if at != int64(size) {
		return fmt.Errorf("tensors end at byte %d of %d", at, size)
	}
	return nil
}

func floats(raw []byte) []float32 {
	values := make([]float32, len(raw)/float32Size)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[i*float32Size:]))
	}
	return values
}
