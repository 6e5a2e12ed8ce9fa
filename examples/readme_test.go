package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// yamlBlock is a block whose first line says where it comes from: a file of the registry, or what a release is rendered
// to. A line of … stands for any number of lines.
var yamlBlock = regexp.MustCompile("(?s)```yaml\n# (rendered )?(\\S+)\n(.*?)```")

// TestReadmes holds what the examples' pages quote to the files and to what is rendered.
func TestReadmes(t *testing.T) {
	quoted := 0
	for _, dir := range registryFolders(t) {
		readme := filepath.Join(filepath.Dir(dir), "README.md")
		page, err := os.ReadFile(readme)
		if err != nil {
			t.Error(err)
			continue
		}
		reg, err := registry.Load(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(page), -1) {
			quoted++
			source, err := quotedFrom(reg, block[1] != "", block[2])
			if err != nil {
				t.Errorf("%s: %v", readme, err)
			} else if part := missing(block[3], source); part != "" {
				t.Errorf("%s: %s has no %q where it is quoted", readme, block[2], part)
			}
		}
	}
	if quoted < 7 {
		t.Errorf("only %d quotations found", quoted)
	}
}

func quotedFrom(reg *registry.Registry, rendered bool, name string) (string, error) {
	if !rendered {
		data, err := fs.ReadFile(reg.FS(), name)
		return string(data), err
	}
	env, release, _ := strings.Cut(name, "/")
	r := reg.Release(registry.Key{Environment: env, Name: release})
	if r == nil {
		return "", fs.ErrNotExist
	}
	out, err := render.Release(reg.FS(), r, image.Placeholder(r.Repository()))
	if err != nil {
		return "", err
	}
	return string(out.YAML), nil
}

// missing is the first part of a quotation that is not in the text after the parts before it.
func missing(quotation, text string) string {
	for part := range strings.SplitSeq(quotation, "…\n") {
		i := strings.Index("\n"+text, "\n"+part)
		if i < 0 {
			return part
		}
		text = text[i+len(part):]
	}
	return ""
}
