package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/davit-dev/davit/registry"
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

// File is what Inspect finds out about a file.
type File struct {
	SHA256    string // hex
	Size      int64  // bytes
	Knowledge Knowledge
}

// Inspect reads r to the end and tells its hash, its size and what name and content show of the model. A file that is
// not what its name says, incomplete, or a Git LFS pointer, is an error. name is a path; only its extension matters.
// Memory is bounded.
func Inspect(name string, r io.Reader) (File, error) {
	sum, onnx := sha256.New(), &onnxScanner{}
	r = io.TeeReader(r, sum)
	if isONNX(name) {
		r = io.TeeReader(r, onnx)
	}
	head, err := readHead(r)
	size := int64(len(head))
	if err == nil {
		var n int64
		n, err = io.Copy(io.Discard, r)
		size += n
	}
	if err != nil && err != io.EOF {
		return File{}, fmt.Errorf("reading %s: %w", name, err)
	}
	k, err := detect(name, head, size)
	if err == nil && isONNX(name) {
		k, err = onnx.knowledge()
	}
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	return File{hex.EncodeToString(sum.Sum(nil)), size, k}, nil
}

// Peek reads no more of r than a format's header, and tells what name, content and size show of the model.
func Peek(name string, size int64, r io.Reader) (Knowledge, error) {
	head, err := readHead(r)
	if err != nil && err != io.EOF {
		return Knowledge{}, fmt.Errorf("reading %s: %w", name, err)
	}
	k, err := detect(name, head, size)
	if err != nil {
		return Knowledge{}, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// readHead reads a format's header, or the first bytes of what has none. io.EOF says that there is no more.
func readHead(r io.Reader) ([]byte, error) {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, r, codeHead); err != nil {
		return head.Bytes(), err
	}
	want := int64(head.Len())
	if n := safetensorsHeader(head.Bytes()); n > 0 && n <= maxHeader {
		want = n + 8
	} else if isGGUF(head.Bytes()) {
		want = maxHeader // it says nowhere how long it is
	}
	_, err := io.CopyN(&head, r, max(0, want-int64(head.Len())))
	return head.Bytes(), err
}

// codeHead is how much of a file shows whether it is a pickle.
const codeHead = 128

var errPickle = errors.New("is a pickle, which carries code, under a name that does not say so; name it .pkl or .pt, or convert it to safetensors")

// isPickle knows pickles by their protocol (0x80 and 2 to 5, then an opcode that begins a value, a frame or a call) and
// PyTorch's archives by their first entry: zip files that hold one. Protocols 0 and 1 are text and begin like any text.
func isPickle(head []byte) bool {
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return bytes.Contains(head, []byte("/data.pkl"))
	}
	return len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 && bytes.IndexByte([]byte("\x95c}](K\x8cXN\x8a)"), head[2]) >= 0
}

func isONNX(name string) bool { return formatOf(name) == "onnx" }

// formatOf is the format that a name says, "" for none.
func formatOf(name string) string {
	return byExtension[strings.ToLower(path.Ext(strings.ReplaceAll(name, `\`, "/")))]
}

func isGGUF(head []byte) bool { return bytes.HasPrefix(head, []byte("GGUF")) }

func detect(name string, head []byte, size int64) (Knowledge, error) {
	if bytes.HasPrefix(head, []byte(lfsPointer)) {
		return Knowledge{}, errLFS
	}
	if isPickle(head) && registry.CarriesCode(name) == "" {
		return Knowledge{}, errPickle
	}
	format := formatOf(name)
	switch {
	case format == "safetensors":
		k, err := checkSafetensors(head, size)
		k.Format = format
		return k, err
	case format == "gguf" && !isGGUF(head):
		return Knowledge{}, errors.New("does not begin with GGUF, as a gguf file does; is it complete?")
	case isGGUF(head) && (format == "" || format == "gguf"):
		k, err := ggufKnowledge(head)
		k.Format = "gguf"
		return k, err
	case format == "":
		if k, err := checkSafetensors(head, size); err == nil {
			k.Format = "safetensors"
			return k, nil
		}
	}
	return Knowledge{Format: format}, nil
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
func checkSafetensors(head []byte, size int64) (Knowledge, error) {
	n := safetensorsHeader(head)
	if n == 0 {
		return Knowledge{}, errors.New("has no safetensors header; is it complete?")
	}
	if size < n+8 {
		return Knowledge{}, fmt.Errorf("is cut off: the safetensors header has %d bytes, the file %d", n, size)
	}
	if n > maxHeader {
		return Knowledge{}, nil
	}
	if int64(len(head)) < n+8 {
		return Knowledge{}, fmt.Errorf("is cut off: the safetensors header has %d bytes, of which %d came", n, len(head)-8)
	}
	k, end, err := safetensorsKnowledge(head[8 : n+8])
	if err != nil {
		return Knowledge{}, err
	}
	if have := size - n - 8; end != have {
		return Knowledge{}, fmt.Errorf("the safetensors header tells of %d bytes of data, the file has %d; is it complete?", end, have)
	}
	return k, nil
}
