package image

import (
	"encoding/binary"
	"errors"
)

// onnxScanner reads an ONNX model as it streams by and keeps none of it: the opset comes after the graph with the weights.
// The file is a protobuf message, onnx.ModelProto: ir_version is field 1, graph 7, opset_import 8
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
type onnxScanner struct {
	opset   int
	skip    uint64 // bytes of a field that does not matter
	pending []byte // the beginning of a field, as far as it has come
	graph   bool
	broken  bool
}

// maxOpset is more than an opset_import has: a domain's name and a version.
const maxOpset = 4096

func (s *onnxScanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !s.broken {
		if s.skip > 0 {
			step := min(s.skip, uint64(len(p)))
			s.skip -= step
			p = p[step:]
			continue
		}
		s.pending = append(s.pending, p[0])
		p = p[1:]
		s.field()
	}
	return n, nil
}

// field takes what is pending for a field, if it is there whole.
func (s *onnxScanner) field() {
	tag, n := binary.Uvarint(s.pending)
	if n == 0 {
		return
	}
	number, wire := tag>>3, tag&7
	value, m := binary.Uvarint(s.pending[max(n, 0):])
	switch {
	case n < 0 || m < 0 || number == 0:
		s.broken = true
	case wire == 1:
		s.pending, s.skip = nil, 8
	case wire == 5:
		s.pending, s.skip = nil, 4
	case wire > 2:
		s.broken = true
	case m == 0: // the number, or the length, is not there yet
	case wire == 0:
		s.pending = nil
	case number == 8 && value <= maxOpset:
		if body := s.pending[n+m:]; uint64(len(body)) == value {
			s.opset, s.pending = max(s.opset, opsetOf(body)), nil
		}
	default:
		s.graph = s.graph || number == 7
		s.pending, s.skip = nil, value
	}
}

// opsetOf reads an OperatorSetIdProto: domain is field 1, version 2. 0 for any domain but ONNX's own.
func opsetOf(body []byte) (version int) {
	for len(body) > 0 {
		tag, n := binary.Uvarint(body)
		if n <= 0 {
			return 0
		}
		value, m := binary.Uvarint(body[n:])
		if m <= 0 {
			return 0
		}
		body = body[n+m:]
		switch tag {
		case 1<<3 | 2:
			if value > uint64(len(body)) {
				return 0
			}
			if domain := string(body[:value]); domain != "" && domain != "ai.onnx" {
				return 0
			}
			body = body[value:]
		case 2 << 3:
			version = int(min(value, 1<<16))
		default:
			return 0
		}
	}
	return version
}

// knowledge is what was seen by the end of the file.
func (s *onnxScanner) knowledge() (Knowledge, error) {
	if s.broken || len(s.pending) > 0 || s.skip > 0 || !s.graph {
		return Knowledge{}, errors.New("is not a whole ONNX model: it has no graph, or ends within a field")
	}
	return Knowledge{Format: "onnx", Opset: s.opset}, nil
}
