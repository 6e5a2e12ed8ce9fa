package why

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// present finds the lines of the release's files at the tip that say what is asked for now.
func (a *asker) present(ctx context.Context, is sight) (lines []Line, err error) {
	for _, p := range a.files(is) {
		numbers, err := a.reaching(ctx, a.tip, p, is, func(int) bool { return true })
		if err != nil {
			return nil, err
		}
		data, err := content(a.tip, p)
		if err != nil {
			return nil, err
		}
		for _, n := range numbers {
			lines = append(lines, Line{Path: p, Number: n, Text: lineOf(data, n)})
		}
	}
	return a.ordered(lines), nil
}

// files lists what the release at the tip is rendered from.
func (a *asker) files(is sight) (paths []string) {
	r := is.release
	dirs := append([]string{r.Runtime.Dir, r.Environment.Component, r.Dir}, r.Components...)
	if r.Accelerator != nil {
		dirs = append(dirs, r.Accelerator.Dir)
	}
	paths = []string{"davit.yaml", r.Environment.Path, r.ModelVersion.Path, r.ServingPath, r.Path}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		_ = fs.WalkDir(a.tip, dir, func(name string, e fs.DirEntry, err error) error { // it was rendered: it can be read
			if err == nil && !e.IsDir() && r.Opens(name) {
				paths = append(paths, name)
			}
			return nil
		})
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// reaching finds the lines of a file within which a scalar stands that reaches what is asked for: with another value it
// would be something else. A value that allows no other says nothing.
func (a *asker) reaching(ctx context.Context, base tree, name string, is sight, within func(line int) bool) ([]int, error) {
	data, err := content(base, name)
	if err != nil || data == nil || is.release == nil {
		return nil, err
	}
	file, ok := parse(data)
	if !ok {
		return a.whole(base, name, data, is)
	}
	c := &search{asker: a, base: base, name: name, file: file, is: is}
	var risky, plain []candidate
	for _, s := range file.scalars {
		t, err := a.trial(base, name, file, s, is)
		if err != nil {
			return nil, err
		}
		if len(t) == 0 || !within(s.node.Line) {
			continue
		}
		if refers(s.path) {
			risky = append(risky, candidate{s, t})
		} else {
			plain = append(plain, candidate{s, t})
		}
	}
	for _, one := range risky {
		if err := c.among(ctx, []candidate{one}); err != nil {
			return nil, err
		}
	}
	if err := c.among(ctx, plain); err != nil {
		return nil, err
	}
	slices.Sort(c.lines)
	return slices.Compact(c.lines), nil
}

// candidate is a scalar that may reach what is asked for.
type candidate struct {
	scalar
	trial
}

// refers says that a scalar names something, so that with another value the release could seldom be rendered.
func refers(at string) bool {
	last := at[strings.LastIndexByte(at, '.')+1:]
	return slices.Contains([]string{"name", "kind", "version", "model", "runtime", "accelerator", "format", "path", "onFailure", "strategy"}, last) ||
		strings.HasPrefix(at, "spec.runtimes.") || strings.HasPrefix(at, "resources") || strings.HasPrefix(at, "patches")
}

// search looks for the scalars of a file that reach what is asked for.
type search struct {
	*asker
	base  tree
	name  string
	file  *document
	is    sight
	lines []int
}

// among changes all candidates at once: where that makes no difference none of them reaches it. Otherwise it looks among
// the halves.
func (c *search) among(ctx context.Context, all []candidate) error {
	if err := ctx.Err(); err != nil || len(all) == 0 || c.brief && len(c.lines) > 0 {
		return err
	}
	if len(all) == 1 {
		reaches, err := c.reaches(c.base, c.name, all[0].trial, c.is)
		if reaches {
			c.lines = append(c.lines, all[0].node.Line)
		}
		return err
	}
	was := make([]string, len(all))
	for i, one := range all {
		was[i], one.node.Value = one.node.Value, others(one.node)[0]
	}
	files := map[string][]byte{c.name: c.file.bytes()}
	for i, one := range all {
		one.node.Value = was[i]
	}
	seen, err := c.try(edited{c.base, files}, c.name, c.is)
	if err != nil || seen.release != nil && seen.same(c.is) {
		return err
	}
	half := len(all) / 2
	if err := c.among(ctx, all[:half]); err != nil {
		return err
	}
	return c.among(ctx, all[half:])
}

// whole says by the line 0 that a file that is no YAML reaches what is asked for.
func (a *asker) whole(base tree, name string, data []byte, is sight) ([]int, error) {
	seen, err := a.try(edited{base, map[string][]byte{name: append(bytes.Clone(data), "x\n"...)}}, name, is)
	if err != nil || seen.fault != nil || seen.same(is) {
		return nil, err
	}
	return []int{0}, nil
}

// trial is a scalar's other values: the files that differ with each.
type trial []map[string][]byte

func (a *asker) trial(base tree, name string, file *document, s scalar, is sight) (t trial, err error) {
	for _, other := range others(s.node) {
		files := map[string][]byte{name: file.with(s.node, other)}
		if name == is.release.Path && s.path == "spec.version" {
			if err := a.twin(base, is, other, files); err != nil {
				return nil, err
			}
		}
		t = append(t, files)
	}
	return t, nil
}

// reaches tries other values until the release can be rendered with one.
func (a *asker) reaches(base tree, name string, t trial, is sight) (bool, error) {
	for _, files := range t {
		seen, err := a.try(edited{base, files}, name, is)
		if err != nil {
			return false, err
		}
		if seen.fault == nil && seen.release != nil {
			return !seen.same(is), nil
		}
	}
	return false, nil
}

// try renders with a changed file. What lies in a layer is not read by the registry, and what changes no input changes
// nothing.
func (a *asker) try(fsys edited, name string, is sight) (sight, error) {
	r := is.release
	layered := !slices.Contains([]string{"davit.yaml", r.Environment.Path, r.Runtime.Path, r.Model.Path, r.ModelVersion.Path, r.ServingPath, r.Path}, name) &&
		(r.Accelerator == nil || name != r.Accelerator.Path)
	if layered {
		return a.rendered(fsys, r), nil
	}
	return a.look(fsys)
}

// twin adds a version of another name and content, so that a release may ask for another one.
func (a *asker) twin(base tree, is sight, name string, files map[string][]byte) error {
	data, err := content(base, is.release.ModelVersion.Path)
	if err != nil {
		return err
	}
	file, ok := parse(data)
	if !ok {
		return nil
	}
	for _, s := range file.scalars {
		switch {
		case s.path == "metadata.name":
			s.node.Value = name
		case strings.HasSuffix(s.path, ".sha256"):
			s.node.Value = others(s.node)[0]
		}
	}
	files[path.Join(path.Dir(is.release.ModelVersion.Path), name+".yaml")] = file.bytes()
	return nil
}

// document is a YAML file, of one or several documents.
type document struct {
	roots   []*yaml.Node
	scalars []scalar
}

// scalar is a value in it, and the keys that lead there.
type scalar struct {
	node *yaml.Node
	path string
}

func parse(data []byte) (*document, bool) {
	d := &document{}
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		root := &yaml.Node{}
		err := decoder.Decode(root)
		if errors.Is(err, io.EOF) {
			return d, len(d.roots) > 0
		}
		if err != nil {
			return nil, false
		}
		d.roots = append(d.roots, root)
		d.collect(root, "")
	}
}

func (d *document) collect(n *yaml.Node, at string) {
	switch n.Kind {
	case yaml.DocumentNode, yaml.SequenceNode:
		for _, below := range n.Content {
			d.collect(below, at)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.collect(n.Content[i+1], strings.TrimPrefix(at+"."+n.Content[i].Value, "."))
		}
	case yaml.ScalarNode:
		if at != "apiVersion" && at != "kind" {
			d.scalars = append(d.scalars, scalar{n, at})
		}
	}
}

func (d *document) bytes() []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	for _, root := range d.roots {
		if encoder.Encode(root) != nil {
			return nil
		}
	}
	encoder.Close()
	return b.Bytes()
}

// with is the file with another value in a node's place.
func (d *document) with(n *yaml.Node, value string) []byte {
	was := n.Value
	n.Value = value
	defer func() { n.Value = was }()
	return d.bytes()
}

var (
	number  = regexp.MustCompile(`[0-9]+`)
	hexHash = regexp.MustCompile(`[0-9a-f]{64}$`)
)

// others are values of the same kind that a scalar might have in place of its own, likely ones first.
func others(n *yaml.Node) []string {
	v := n.Value
	switch n.ShortTag() {
	case "!!bool":
		return []string{strconv.FormatBool(strings.ToLower(v) != "true")}
	case "!!null":
		return nil
	}
	var all []string
	if hexHash.MatchString(v) { // 0 to 1, 1 to 2, …
		return []string{v[:len(v)-1] + string("123456789abcdef0"[strings.IndexByte("0123456789abcdef", v[len(v)-1])])}
	}
	if at := number.FindStringIndex(v); at != nil && at[1]-at[0] < 10 {
		i, _ := strconv.Atoi(v[at[0]:at[1]])
		all = append(all, v[:at[0]]+strconv.Itoa(i+1)+v[at[1]:])
		if i > 1 {
			all = append(all, v[:at[0]]+strconv.Itoa(i-1)+v[at[1]:])
		}
	}
	if n.ShortTag() == "!!str" {
		all = append(all, v+"x")
	}
	return all
}
