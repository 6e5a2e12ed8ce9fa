package registry

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Decode reads the text of one file into spec, a pointer, by the rules that all files of a registry are read by: one
// document of that kind, of bounded size, without anchors, no unknown field, and metadata.name, where it is given, as the
// file is called. Faults are at name.
func Decode(name string, text []byte, kind string, spec any) []Fault {
	rd := &reader{cache: newCache()}
	_, faults := rd.document(name, text, kind, strings.TrimSuffix(path.Base(name), ".yaml"), spec)
	return faults
}

// document decodes the text of a file; nil when it has a fault.
func (rd *reader) document(name string, text []byte, kind, metadataName string, spec any) (*document, []Fault) {
	doc, faults := rd.parse(name, text)
	if doc != nil && doc.kind == kind {
		faults = append(faults, rd.decode(name, doc.spec, spec)...)
	} else if doc != nil && doc.kind != "" {
		faults = append(faults, Fault{name, 1, fmt.Sprintf("kind is %q; a file at this place is kind: %s", doc.kind, kind)})
	}
	if doc != nil && doc.name != "" && doc.name != metadataName {
		faults = append(faults, Fault{name, line(doc.names, "name"), fmt.Sprintf("metadata.name %q disagrees with the place; write %q or leave it out", doc.name, metadataName)})
	}
	if more := len(faults) - maxFaults; more > 0 {
		faults = append(faults[:maxFaults:maxFaults], Fault{name, faults[maxFaults].Line, fmt.Sprintf("and %d more faults", more)})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return doc, nil
}

// BlobHash is a file's git blob id, of a file system that is no [BlobHasher] too; "absent" where there is no file, and
// "folder" for what can't be read as one.
func BlobHash(fsys fs.FS, name string) (string, error) { return blobHash(fsys, name) }

// ComponentFiles lists, in order, the files that the release's own Components may open: those of its folder, less other
// environments', or of the folder that is its environment's there. None without a Component.
func (r *Release) ComponentFiles(fsys fs.FS) (paths []string, err error) {
	for _, dir := range r.Components {
		below, err := filesBelow(fsys, dir)
		if err != nil {
			return nil, err
		}
		paths = append(paths, slices.DeleteFunc(below, r.foreign)...)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
