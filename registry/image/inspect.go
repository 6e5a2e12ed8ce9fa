package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// maxHeader bounds what is kept of a file to look at. Headers of safetensors have some hundred bytes per
// tensor; a longer one is taken on trust.
const maxHeader = 16 << 20

// byExtension is the format of names that say it.
var byExtension = map[string]string{
	".safetensors": "safetensors", ".gguf": "gguf", ".onnx": "onnx",
	".pkl": "pickle", ".pickle": "pickle", ".joblib": "pickle",
	".pt": "pytorch", ".pth": "pytorch", ".pb": "tensorflow", ".tflite": "tflite",
	".keras": "keras", ".h5": "keras", ".ubj": "xgboost", ".bst": "xgboost",
}

// Inspect reads r to the end and tells its sha256 in hex, its size in bytes and the model format that name
// and content show, or "" when they show none. A file that is not what its name says, incomplete, or a Git
// LFS pointer, is an error. name is a path; only its extension matters. Memory is bounded.
func Inspect(name string, r io.Reader) (digest string, size int64, format string, err error) {
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	var head bytes.Buffer
	if _, err = io.CopyN(&head, r, 64); err == nil {
		if n := safetensorsHeader(head.Bytes()); n > 0 && n <= maxHeader {
			_, err = io.CopyN(&head, r, max(0, n+8-int64(head.Len())))
		}
	}
	size = int64(head.Len())
	if err == nil {
		var n int64
		n, err = io.Copy(io.Discard, r)
		size += n
	}
	if err != nil && err != io.EOF {
		return "", 0, "", fmt.Errorf("reading %s: %w", name, err)
	}
	format, err = detect(name, head.Bytes(), size)
	if err != nil {
		return "", 0, "", fmt.Errorf("%s: %w", name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), size, format, nil
}

func detect(name string, head []byte, size int64) (string, error) {
	if bytes.HasPrefix(head, []byte(lfsPointer)) {
		return "", errLFS
	}
	format := byExtension[strings.ToLower(path.Ext(strings.ReplaceAll(name, `\`, "/")))]
	isGGUF := bytes.HasPrefix(head, []byte("GGUF"))
	switch {
	case format == "safetensors":
		return format, checkSafetensors(head, size)
	case format == "gguf" && !isGGUF:
		return "", errors.New("does not begin with GGUF, as a gguf file does; is it complete?")
	case format == "" && isGGUF:
		return "gguf", nil
	case format == "" && checkSafetensors(head, size) == nil:
		return "safetensors", nil
	}
	return format, nil
}

// safetensorsHeader is the length of the JSON header that head announces, or 0.
func safetensorsHeader(head []byte) int64 {
	if len(head) < 9 || head[8] != '{' {
		return 0
	}
	if n := binary.LittleEndian.Uint64(head); n <= 100_000_000 { // the format's own limit
		return int64(n)
	}
	return 0
}

// checkSafetensors compares the header with the size: https://github.com/huggingface/safetensors#format.
func checkSafetensors(head []byte, size int64) error {
	n := safetensorsHeader(head)
	if n == 0 {
		return errors.New("has no safetensors header; is it complete?")
	}
	if size < n+8 {
		return fmt.Errorf("is cut off: the safetensors header has %d bytes, the file %d", n, size)
	}
	if n > maxHeader {
		return nil
	}
	var tensors map[string]struct {
		Offsets []int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(head[8:n+8], &tensors); err != nil {
		return fmt.Errorf("the safetensors header is broken: %w", err)
	}
	var end int64
	for _, t := range tensors {
		if len(t.Offsets) == 2 {
			end = max(end, t.Offsets[1])
		}
	}
	if have := size - n - 8; end != have {
		return fmt.Errorf("the safetensors header tells of %d bytes of data, the file has %d; is it complete?", end, have)
	}
	return nil
}
