package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

func safetensors(header, data string) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + data
}

func TestInspect(t *testing.T) {
	tensor := `{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	for _, c := range []struct{ name, content, format, err string }{
		{"m.safetensors", safetensors(tensor, "abcd"), "safetensors", ""},
		{"weights", safetensors(tensor, "abcd"), "safetensors", ""},
		{"m.safetensors", safetensors(tensor, "ab"), "", "m.safetensors: the safetensors header tells of 4 bytes of data, the file has 2; is it complete?"},
		{"m.safetensors", safetensors(tensor, "")[:30], "", "m.safetensors: is cut off: the safetensors header has 85 bytes, the file 30"},
		{"m.safetensors", "<html>", "", "m.safetensors: has no safetensors header; is it complete?"},
		{"m.gguf", "GGUF\x03\x00\x00\x00", "gguf", ""},
		{"m.gguf", "<html>", "", "m.gguf: does not begin with GGUF, as a gguf file does; is it complete?"},
		{"m.bin", "GGUF\x03\x00\x00\x00", "gguf", ""},
		{"dir.onnx/m.ONNX", "\x08\x07", "onnx", ""},
		{"m.pkl", "\x80\x04", "pickle", ""},
		{"README.md", "hello", "", ""},
		{"empty", "", "", ""},
		{"m.onnx", lfsPointer + "v1\n", "", "m.onnx: " + errLFS.Error()},
	} {
		digest, size, format, err := Inspect(c.name, strings.NewReader(c.content))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: error %v, want %s", c.name, err, c.err)
			}
			continue
		}
		want := sha256.Sum256([]byte(c.content))
		if err != nil || digest != hex.EncodeToString(want[:]) || size != int64(len(c.content)) || format != c.format {
			t.Errorf("%s: %s, %d, %q, %v", c.name, digest, size, format, err)
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add("m.safetensors", []byte(safetensors(`{"w":{"data_offsets":[0,4]}}`, "abcd")))
	f.Add("m", []byte("GGUF"))
	f.Add("m", []byte("\xff\xff\xff\xff\xff\xff\xff\xff{"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		digest, size, _, err := Inspect(name, bytes.NewReader(content))
		if want := sha256.Sum256(content); err == nil && (digest != hex.EncodeToString(want[:]) || size != int64(len(content))) {
			t.Errorf("%s, %d", digest, size)
		}
	})
}
