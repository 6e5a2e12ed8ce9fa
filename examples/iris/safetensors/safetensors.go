// Package safetensors reads and writes model files in the safetensors format,
// as far as small models need it: F32 tensors and string metadata.
//
// A file is eight bytes with the little-endian length of the header, the
// header as a JSON object, and the tensors' bytes without gaps
// (https://huggingface.co/docs/safetensors, "Format"). The package knows
// nothing of what the tensors mean, and opens no files.
package safetensors

import "math"

// File is the content of one safetensors file. The zero value is an empty file.
type File struct {
	// Metadata is the header's __metadata__ object; nil when there is none.
	Metadata map[string]string
	// Tensors by name.
	Tensors map[string]Tensor
}

// Tensor is an array of float32 in row-major order. An empty shape is a scalar.
type Tensor struct {
	Shape []int
	Data  []float32
}

const (
	dtypeF32    = "F32"
	float32Size = 4
	lengthSize  = 8
	// metadataKey is the one header key that names no tensor.
	metadataKey = "__metadata__"
	// maxHeader is the limit of the reference implementation (MAX_HEADER_SIZE).
	maxHeader = 100_000_000
)

// entry describes one tensor in the header. Offsets count from the first
// byte after the header.
type entry struct {
	DType   string  `json:"dtype"`
	Shape   []int   `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// elements is the number of values of a shape, or false if it is negative
// in a dimension or above math.MaxInt32.
func elements(shape []int) (int, bool) {
	n := int64(1) // a product of two fits, also where int has 32 bits
	for _, d := range shape {
		if d < 0 || d > math.MaxInt32 {
			return 0, false
		}
		if n *= int64(d); n > math.MaxInt32 {
			return 0, false
		}
	}
	return int(n), true
}
