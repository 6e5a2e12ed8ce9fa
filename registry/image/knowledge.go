package image

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Knowledge is what a file's own header tells of a model, without loading its weights. Zero values are not known.
type Knowledge struct {
	// Format is "safetensors", "gguf", "onnx" and so on; "" when neither name nor content shows it.
	Format string
	// Architecture is the family of networks: "llama".
	Architecture string
	// Parameters counts the numbers in all tensors.
	Parameters int64
	// Tensors counts the tensors.
	Tensors int
	// Precision is the type that most parameters have, in lower case: "bf16", "f32", "i8".
	Precision string
	// Quantization is the scheme, as its own tools name it: "Q4_K_M".
	Quantization string
	// Opset is the version of ONNX's operators that the model needs; 0 for other formats.
	Opset int
}

// Merge adds what another file of the same model tells.
func (k Knowledge) Merge(o Knowledge) Knowledge {
	if o.Parameters > k.Parameters { // the larger file speaks for the precision
		k.Precision = cmp.Or(o.Precision, k.Precision)
	}
	return Knowledge{
		Format: cmp.Or(k.Format, o.Format), Architecture: cmp.Or(k.Architecture, o.Architecture),
		Parameters: plus(k.Parameters, o.Parameters), Tensors: k.Tensors + o.Tensors,
		Precision: cmp.Or(k.Precision, o.Precision), Quantization: cmp.Or(k.Quantization, o.Quantization),
		Opset: max(k.Opset, o.Opset),
	}
}

// ParamSize writes a number of parameters as people and the ModelPack spec do: "8b", "1.5b", "350m", "12k"; "" for none.
func ParamSize(parameters int64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "t"}, {1e9, "b"}, {1e6, "m"}, {1e3, "k"}, {1, ""}} {
		if n := float64(parameters) / unit.size; n >= 1 {
			digits := 1
			if n >= 10 || unit.name == "" {
				digits = 0
			}
			return strings.TrimSuffix(strconv.FormatFloat(n, 'f', digits, 64), ".0") + unit.name
		}
	}
	return ""
}

// safetensorsKnowledge reads the JSON header: https://github.com/huggingface/safetensors#format.
func safetensorsKnowledge(header []byte) (k Knowledge, data int64, err error) {
	var tensors map[string]json.RawMessage
	if err := json.Unmarshal(header, &tensors); err != nil {
		return k, 0, fmt.Errorf("the safetensors header is broken: %w", err)
	}
	byType := map[string]int64{}
	for _, name := range slices.Sorted(maps.Keys(tensors)) { // so that of several that are broken the same one is told each time
		if name == "__metadata__" {
			continue
		}
		var t struct {
			DType   string  `json:"dtype"`
			Shape   []int64 `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(tensors[name], &t); err != nil {
			return k, 0, fmt.Errorf("the safetensors header is broken at tensor %q: %w", name, err)
		}
		if len(t.Offsets) == 2 {
			data = max(data, t.Offsets[1])
		}
		n, ok := product(t.Shape)
		if !ok {
			return k, 0, fmt.Errorf("the safetensors header gives tensor %q the shape %v", name, t.Shape)
		}
		kind := strings.ToLower(t.DType)
		byType[kind] = plus(byType[kind], n)
		k.Tensors++
	}
	k.Parameters, k.Precision = most(byType)
	return k, data, nil
}

// product multiplies dimensions; not ok when one is negative or the product is no int64.
func product(shape []int64) (n int64, ok bool) {
	n = 1
	for _, d := range shape {
		if d < 0 || d != 0 && n > (1<<62)/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// plus adds two counts; what is no int64 any more is the greatest of them.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// most sums counts and names the largest.
func most(counts map[string]int64) (total int64, name string) {
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		total = plus(total, counts[key])
		if counts[key] > counts[name] {
			name = key
		}
	}
	return total, name
}

// The types of GGUF metadata values and of tensors, and the file types, that are told by name:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
var (
	ggufSizes   = map[uint32]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
	ggufTensors = map[uint32]string{
		0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 10: "q2_k", 11: "q3_k", 12: "q4_k", 13: "q5_k",
		14: "q6_k", 15: "q8_k", 24: "i8", 25: "i16", 26: "i32", 27: "i64", 28: "f64", 30: "bf16",
	}
	ggufFileTypes = map[uint64]string{
		2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S",
		15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
	}
)

const (
	ggufString, ggufArray = 8, 9
	maxGGUFItems          = 1 << 20 // more keys or tensors than any model has
	maxGGUFDepth          = 8       // 16 MiB of arrays in arrays would take hundreds of MiB of stack
)

var errCut = errors.New("the GGUF header is longer than what was read")

// ggufReader takes a header apart. After the first error it gives zeros.
type ggufReader struct {
	data  []byte
	err   error
	depth int // of arrays in arrays
}

func (r *ggufReader) bytes(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.data)) {
		r.err = cmp.Or(r.err, errCut)
		return make([]byte, 8)
	}
	out := r.data[:n]
	r.data = r.data[n:]
	return out
}

func (r *ggufReader) u32() uint32    { return binary.LittleEndian.Uint32(r.bytes(4)) }
func (r *ggufReader) u64() uint64    { return binary.LittleEndian.Uint64(r.bytes(8)) }
func (r *ggufReader) string() string { return string(r.bytes(r.u64())) }

// value reads a metadata value: text, or a number; arrays are passed over.
func (r *ggufReader) value(typ uint32) (text string, number uint64) {
	switch size := ggufSizes[typ]; {
	case typ == ggufString:
		return r.string(), 0
	case typ == ggufArray:
		of, n := r.u32(), r.u64()
		if size := ggufSizes[of]; size > 0 && n < 1<<40 {
			r.bytes(n * uint64(size))
			return "", 0
		}
		if r.depth++; r.depth > maxGGUFDepth {
			r.err = cmp.Or(r.err, fmt.Errorf("the GGUF header has arrays more than %d deep", maxGGUFDepth))
		}
		for ; n > 0 && r.err == nil; n-- {
			r.value(of)
		}
		r.depth--
	case size == 0:
		r.err = cmp.Or(r.err, fmt.Errorf("the GGUF header has a value of the unknown type %d", typ))
	default:
		b := append(append([]byte{}, r.bytes(uint64(size))...), make([]byte, 8)...)
		return "", binary.LittleEndian.Uint64(b)
	}
	return "", 0
}

// ggufKnowledge reads the header of versions 2 and 3. What does not fit into head is not an error: a tokenizer's
// vocabulary may be longer than what is looked at.
func ggufKnowledge(head []byte) (k Knowledge, err error) {
	r := &ggufReader{data: head}
	magic, version, tensors, keys := r.bytes(4), r.u32(), r.u64(), r.u64()
	if r.err == nil && (string(magic) != "GGUF" || version < 2 || version > 3) {
		return k, fmt.Errorf("GGUF version %d is not known", version)
	}
	if tensors > maxGGUFItems || keys > maxGGUFItems {
		return k, fmt.Errorf("the GGUF header tells of %d tensors and %d keys", tensors, keys)
	}
	for range keys {
		key := r.string()
		switch text, number := r.value(r.u32()); {
		case r.err != nil:
			return k, ignoreCut(r.err)
		case key == "general.architecture":
			k.Architecture = text
		case key == "general.file_type":
			k.Quantization = ggufFileTypes[number]
		}
	}
	byType, found := map[string]int64{}, Knowledge{}
	for range tensors {
		r.string()
		dims := r.u32()
		shape := make([]int64, min(dims, 8))
		for i := range shape {
			shape[i] = int64(r.u64())
		}
		typ := ggufTensors[r.u32()]
		r.u64()
		n, ok := product(shape)
		if r.err != nil {
			return k, ignoreCut(r.err)
		}
		if dims > 8 || !ok {
			return k, fmt.Errorf("the GGUF header gives a tensor the shape %v", shape)
		}
		typ = cmp.Or(typ, "other")
		byType[typ] = plus(byType[typ], n)
		found.Tensors++
	}
	k.Tensors = found.Tensors
	k.Parameters, k.Precision = most(byType)
	return k, nil
}

func ignoreCut(err error) error {
	if err == errCut {
		return nil
	}
	return err
}
