package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/protowire"
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
		{"dir.onnx/m.ONNX", onnx(17), "onnx", ""},
		{"cut.onnx", onnx(17)[:20], "", "cut.onnx: is not a whole ONNX model: it has no graph, or ends within a field"},
		{"page.onnx", "<html>", "", "page.onnx: is not a whole ONNX model: it has no graph, or ends within a field"},
		{"m.pkl", "\x80\x04", "pickle", ""},
		{"model.onnx", "\x80\x04\x95\x0b", "", "model.onnx: " + errPickle.Error()},
		{"weights", "PK\x03\x04" + strings.Repeat("\x00", 26) + "archive/data.pkl", "", "weights: " + errPickle.Error()},
		{"weights.pt", "PK\x03\x04" + strings.Repeat("\x00", 26) + "archive/data.pkl", "pytorch", ""},
		{"notes.txt", "\x80\x04text", "", ""},
		{"README.md", "hello", "", ""},
		{"empty", "", "", ""},
		{"m.onnx", lfsPointer + "v1\n", "", "m.onnx: " + errLFS.Error()},
	} {
		got, err := Inspect(c.name, strings.NewReader(c.content))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: error %v, want %s", c.name, err, c.err)
			}
			continue
		}
		want := sha256.Sum256([]byte(c.content))
		if err != nil || got.SHA256 != hex.EncodeToString(want[:]) || got.Size != int64(len(c.content)) || got.Knowledge.Format != c.format {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// onnx is a ModelProto as the exporters write it: version, producer, a graph with weights, and operator sets after it.
func onnx(opset uint64) string {
	text := func(b []byte, number protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
	}
	number := func(b []byte, field protowire.Number, n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
	}
	b := text(number(nil, 1, 8), 2, "pytorch")
	b = text(b, 7, strings.Repeat("\x42weights", 10_000))
	b = text(b, 8, string(number(text(nil, 1, "com.microsoft"), 2, 900)))
	b = text(b, 8, string(number(text(nil, 1, ""), 2, opset)))
	return string(text(b, 14, "metadata"))
}

func TestONNX(t *testing.T) {
	for _, opset := range []uint64{9, 17, 300} {
		got, err := Inspect("m.onnx", iotest.OneByteReader(strings.NewReader(onnx(opset))))
		if err != nil || got.Knowledge != (Knowledge{Format: "onnx", Opset: int(opset)}) {
			t.Errorf("%+v, %v", got.Knowledge, err)
		}
	}
}

func FuzzONNX(f *testing.F) {
	f.Add([]byte(onnx(17)))
	f.Add([]byte{0x08, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, parts := &onnxScanner{}, &onnxScanner{}
		whole.Write(data)
		for _, b := range data {
			parts.Write([]byte{b})
		}
		a, errA := whole.knowledge()
		b, errB := parts.knowledge()
		if a != b || (errA == nil) != (errB == nil) || len(whole.pending) > maxOpset+32 {
			t.Errorf("%+v %v, in parts %+v %v", a, errA, b, errB)
		}
	})
}

// gguf is a header with a text key, a vocabulary, a file type and one tensor.
func gguf(tensors uint64, key, value string) string {
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := le.AppendUint64(le.AppendUint64(le.AppendUint32([]byte("GGUF"), 3), tensors), 3)
	b = le.AppendUint32(le.AppendUint32(text(b, "tokenizer.ggml.tokens"), 9), 8)
	b = text(text(le.AppendUint64(b, 2), "a"), "b")
	b = text(le.AppendUint32(text(b, key), 8), value)
	b = le.AppendUint32(le.AppendUint32(text(b, "general.file_type"), 4), 15)
	b = le.AppendUint32(text(b, "blk.0.weight"), 2)
	b = le.AppendUint64(le.AppendUint64(b, 4096), 32000)
	return string(le.AppendUint64(le.AppendUint32(b, 12), 0))
}

func TestKnowledge(t *testing.T) {
	mixed := `{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[4096,1000],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[7],"data_offsets":[4,8]}}`
	for name, c := range map[string]struct {
		content string
		want    Knowledge
		err     string
	}{
		"m.safetensors":   {safetensors(mixed, "abcdefgh"), Knowledge{Format: "safetensors", Parameters: 4096007, Tensors: 2, Precision: "bf16"}, ""},
		"neg.safetensors": {safetensors(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, "abcd"), Knowledge{}, "shape"},
		"m.gguf":          {gguf(1, "general.architecture", "llama"), Knowledge{Format: "gguf", Architecture: "llama", Parameters: 131072000, Tensors: 1, Precision: "q4_k", Quantization: "Q4_K_M"}, ""},
		"cut.gguf":        {gguf(2, "general.architecture", "llama"), Knowledge{Format: "gguf", Architecture: "llama", Quantization: "Q4_K_M"}, ""},
		"many.gguf":       {gguf(1<<60, "general.architecture", "llama"), Knowledge{}, "tells of"},
		"future.gguf":     {"GGUF\x09" + strings.Repeat("\x00", 20), Knowledge{}, "version 9"},
		"numbers.pkl":     {"\x80\x04", Knowledge{Format: "pickle"}, ""},
	} {
		got, err := Inspect(name, strings.NewReader(c.content))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", name, err, c.err)
			}
		} else if err != nil || got.Knowledge != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got.Knowledge, err, c.want)
		}
	}
	for n, want := range map[int64]string{0: "", 12: "12", 4096007: "4.1m", 8_030_261_248: "8b", 1_540_000_000: "1.5b", 70_553_706_496: "71b", 350_000: "350k"} {
		if got := ParamSize(n); got != want {
			t.Errorf("ParamSize(%d) = %q, want %q", n, got, want)
		}
	}
	a := Knowledge{Format: "safetensors", Parameters: 10, Tensors: 1, Precision: "f32"}
	if got := a.Merge(Knowledge{Parameters: 100, Tensors: 2, Precision: "bf16"}); got != (Knowledge{Format: "safetensors", Parameters: 110, Tensors: 3, Precision: "bf16"}) {
		t.Errorf("merged: %+v", got)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add("m.safetensors", []byte(safetensors(`{"w":{"data_offsets":[0,4]}}`, "abcd")))
	f.Add("m", []byte("GGUF"))
	f.Add("m.gguf", []byte(gguf(1, "general.architecture", "llama")))
	f.Add("m", []byte("\xff\xff\xff\xff\xff\xff\xff\xff{"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		got, err := Inspect(name, bytes.NewReader(content))
		if want := sha256.Sum256(content); err == nil && (got.SHA256 != hex.EncodeToString(want[:]) || got.Size != int64(len(content))) {
			t.Errorf("%+v", got)
		}
	})
}
