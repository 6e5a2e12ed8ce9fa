package safetensors

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
)

func sample() File {
	return File{
		Metadata: map[string]string{"labels": "a,b"},
		Tensors: map[string]Tensor{
			"bias":   {Shape: []int{2}, Data: []float32{1, -2.5}},
			"scalar": {Shape: []int{}, Data: []float32{7}},
			"weight": {Shape: []int{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	raw, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Errorf("got %+v, want %+v", got, sample())
	}
	if n := binary.LittleEndian.Uint64(raw); n%8 != 0 {
		t.Errorf("header of %d bytes does not align the data to 8", n)
	}
	again, err := Encode(got)
	if err != nil || !bytes.Equal(again, raw) {
		t.Errorf("encoding again gave other bytes (err %v)", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, f := range map[string]File{
		"shape":    {Tensors: map[string]Tensor{"w": {Shape: []int{2}, Data: []float32{1}}}},
		"negative": {Tensors: map[string]Tensor{"w": {Shape: []int{-1}}}},
		"reserved": {Tensors: map[string]Tensor{metadataKey: {Shape: []int{0}}}},
	} {
		if _, err := Encode(f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func build(header string, data int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), make([]byte, data)...)
}

func TestDecodeRefuses(t *testing.T) {
	w := func(dtype, shape, offsets string) string {
		return `{"w":{"dtype":"` + dtype + `","shape":` + shape + `,"data_offsets":` + offsets + `}}`
	}
	for _, test := range []struct {
		name, want string
		file       []byte
	}{
		{"empty", "too short", nil},
		{"huge header", "above the limit", bytes.Repeat([]byte{0xff}, 16)},
		{"long header", "header of 64 bytes in a file of 10", append([]byte{64, 0, 0, 0, 0, 0, 0, 0}, "{}"...)},
		{"no object", "not a JSON object", build("[]", 0)},
		{"no header", "not a JSON object", build("", 0)},
		{"cut", "parsing header", build(`{"w":{"dtype"`, 0)},
		{"open", "parsing header", build(`{`, 0)},
		{"more", "goes on", build(`{} x`, 0)},
		{"unknown field", "unknown field", build(`{"w":{"type":"F32"}}`, 0)},
		{"metadata", "__metadata__", build(`{"__metadata__":{"a":1}}`, 0)},
		{"twice", `names "__metadata__" twice`, build(`{"__metadata__":{},"__metadata__":{}}`, 0)},
		{"dtype", `dtype "F64"`, build(w("F64", "[1]", "[0,8]"), 8)},
		{"end", `tensor "w" ends at byte 9999 of 8`, build(w("F32", "[2]", "[0,9999]"), 8)},
		{"order", "data_offsets 8 to 4", build(w("F32", "[1]", "[8,4]"), 8)},
		{"negative", "data_offsets -4 to 0", build(w("F32", "[1]", "[-4,0]"), 8)},
		{"one offset", "1 data_offsets", build(w("F32", "[1]", "[4]"), 8)},
		{"no shape", "no shape", build(w("F32", "null", "[0,4]"), 4)},
		{"size", "8 bytes for shape [3]", build(w("F32", "[3]", "[0,8]"), 8)},
		{"overflow", "for shape", build(w("F32", "[2147483647,2147483647,4]", "[0,8]"), 8)},
		{"gap", `begins at byte 4, want 0`, build(w("F32", "[1]", "[4,8]"), 8)},
		{"rest", "tensors end at byte 4 of 8", build(w("F32", "[1]", "[0,4]"), 8)},
		{"overlap", "begins at byte 0, want 4", build(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},`+
			`"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4)},
	} {
		_, err := Decode(test.file)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// FuzzDecode: no input makes Decode panic, and whatever it accepts survives
// being written and read again.
func FuzzDecode(f *testing.F) {
	raw, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(build(`{"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}  `, 0))
	f.Add(build(`{}`, 0))
	f.Fuzz(func(t *testing.T, file []byte) {
		first, err := Decode(file)
		if err != nil {
			return
		}
		written, err := Encode(first)
		if err != nil {
			t.Fatalf("encoding what was decoded: %v", err)
		}
		second, err := Decode(written)
		if err != nil {
			t.Fatalf("decoding what was encoded: %v", err)
		}
		again, err := Encode(second)
		if err != nil || !bytes.Equal(again, written) {
			t.Fatalf("second round differs (err %v)", err)
		}
	})
}
