package image

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	iris "github.com/davit-dev/davit/examples/iris/safetensors"
)

// FuzzPeek: a header that is looked at alone tells what the whole file tells, whatever size is claimed for it.
func FuzzPeek(f *testing.F) {
	tensor := `{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	f.Add("m.safetensors", []byte(safetensors(tensor, "abcd")), int64(0))
	f.Add("m.safetensors", []byte(safetensors(tensor, ""))[:30], int64(1000))
	f.Add("m", []byte(safetensors(`{"a":{"dtype":"F32","shape":[4611686018427387904]},"b":{"dtype":"F16","shape":[4611686018427387904]}}`, "")), int64(0))
	f.Add("m.safetensors", []byte(safetensors(`{"a":1,"b":[],"c":"","d":true,"e":2,"f":[1],"g":"x","h":false}`, "")), int64(0))
	f.Add("m.gguf", []byte(gguf(1, "general.architecture", "llama")), int64(1<<40))
	f.Add("m.pt", []byte("\x80\x04\x95"), int64(-1))
	f.Fuzz(func(t *testing.T, name string, content []byte, more int64) {
		whole, err := Inspect(name, bytes.NewReader(content))
		peeked, errPeek := Peek(name, int64(len(content)), bytes.NewReader(content))
		if !isONNX(name) && (fmt.Sprint(err) != fmt.Sprint(errPeek) || peeked != whole.Knowledge) {
			t.Errorf("%+v %v, by its header %+v %v", whole.Knowledge, err, peeked, errPeek)
		}
		for _, k := range []Knowledge{peeked, peeked.Merge(peeked)} {
			if k.Parameters < 0 || k.Tensors < 0 || k.Opset < 0 {
				t.Errorf("%+v", k)
			}
		}
		if k, err := Peek(name, more, bytes.NewReader(content)); err == nil && (k.Parameters < 0 || k.Tensors < 0) {
			t.Errorf("of %d bytes: %+v", more, k)
		}
	})
}

// FuzzSafetensors holds headers against the example's own decoder: what that takes for whole is whole here, with as many
// numbers.
func FuzzSafetensors(f *testing.F) {
	f.Add([]byte(safetensors(`{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, strings.Repeat("x", 24))))
	f.Add([]byte(safetensors(`{"__metadata__":{"a":"b"},"w":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}  `, "12345678")))
	f.Add([]byte(safetensors(`{}`, "")))
	f.Fuzz(func(t *testing.T, file []byte) {
		theirs, err := iris.Decode(file)
		if err != nil {
			return
		}
		want := int64(0)
		for _, tensor := range theirs.Tensors {
			want += int64(len(tensor.Data))
		}
		got, err := Inspect("m.safetensors", bytes.NewReader(file))
		if err != nil || got.Knowledge.Parameters != want || got.Knowledge.Tensors != len(theirs.Tensors) {
			t.Errorf("%+v, %v; want %d in %d tensors", got.Knowledge, err, want, len(theirs.Tensors))
		}
	})
}

// FuzzGGUF: a header that is cut anywhere tells less than the whole one, and nothing else.
func FuzzGGUF(f *testing.F) {
	f.Add([]byte(gguf(1, "general.architecture", "llama")), 100)
	f.Add([]byte(gguf(2, "general.name", "x")), 60)
	nested := gguf(0, "k", "v")
	f.Add([]byte(nested[:24]+"\x01\x00\x00\x00\x00\x00\x00\x00a\x09\x00\x00\x00"+strings.Repeat("\x09\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", 1000)), 500)
	f.Fuzz(func(t *testing.T, head []byte, cut int) {
		whole, err := ggufKnowledge(head)
		if err != nil {
			return
		}
		part, err := ggufKnowledge(head[:uint(cut)%uint(len(head)+1)])
		if err != nil {
			t.Fatalf("whole it is %+v, cut %v", whole, err)
		}
		if part.Tensors != 0 && part != whole || part.Parameters > whole.Parameters || part.Parameters < 0 {
			t.Errorf("whole %+v, cut %+v", whole, part)
		}
	})
}
