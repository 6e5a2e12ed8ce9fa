package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Encode writes f in the safetensors format. Equal files give equal bytes:
// tensors are in the order of their names, and the header is padded with
// spaces so that the data begins at a multiple of eight bytes.
func Encode(f File) ([]byte, error) {
	header := map[string]any{}
	if len(f.Metadata) > 0 {
		header[metadataKey] = f.Metadata
	}
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(f.Tensors)) {
		t := f.Tensors[name]
		if name == metadataKey {
			return nil, fmt.Errorf("tensor name %q is reserved", name)
		}
		if n, ok := elements(t.Shape); !ok || n != len(t.Data) {
			return nil, fmt.Errorf("tensor %q has %d values for shape %v", name, len(t.Data), t.Shape)
		}
		begin := int64(len(data))
		for _, v := range t.Data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		// A nil shape would be written as null.
		shape := append([]int{}, t.Shape...)
		header[name] = entry{DType: dtypeF32, Shape: shape, Offsets: []int64{begin, int64(len(data))}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("encoding header: %w", err)
	}
	if pad := len(text) % lengthSize; pad != 0 {
		text = append(text, strings.Repeat(" ", lengthSize-pad)...)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), data...), nil
}
