package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

func addCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "add MODEL VERSION FILE|FOLDER|URI...",
		Short: "Write a new version of a model: hash and inspect its files",
		Long: "Writes versions/VERSION.yaml in the model's folder, at the root or in a team's, with each file's sha256 and\n" +
			"size and what its header tells of the model. Sources are files and folders, https://, s3://, gs:// and\n" +
			"azblob:// addresses (a folder ends with a slash), hf://organisation/repository@revision and\n" +
			"oci://host/repository:tag; revisions and tags are written as the commits and digests they stand for.\n" +
			"A file is read once, and only its header where its sha256 is known: from the hub, an OCI registry, S3 or a\n" +
			"Git LFS pointer. A file outside the repository is copied into files/VERSION there. Makes the model, as\n" +
			"models/MODEL, when there is none. A version that exists is never written over.",
		Args: cobra.MinimumNArgs(3),
	}
	flags := versionFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		v, err := a.newVersion(cmd, flags, args[0], args[1])
		if err != nil {
			return err
		}
		if err := v.addAll(cmd.Context(), args[2:]); err != nil {
			return err
		}
		written, err := v.write(cmd.Context(), *flags.metrics)
		for _, name := range written {
			fmt.Fprintln(cmd.OutOrStdout(), "wrote", name)
		}
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), v)
		}
		return err
	}
	return c
}

// versionOptions are the flags of commands that write a version.
type versionOptions struct {
	metrics          *map[string]string
	include, exclude *[]string
}

func versionFlags(c *cobra.Command) versionOptions {
	return versionOptions{
		metrics: c.Flags().StringToString("metric", nil, "a metric, NAME=VALUE; may be repeated"),
		include: c.Flags().StringArray("include", nil, "of a folder, a hub's repository or an image, only files whose name or path match this pattern, such as '*.safetensors'; may be repeated"),
		exclude: c.Flags().StringArray("exclude", nil, "and none that match this one; may be repeated"),
	}
}

// keep says whether a file of a source with several is wanted.
func (o versionOptions) keep(name string) bool {
	matches := func(pattern string) bool {
		whole, _ := path.Match(pattern, name)
		last, _ := path.Match(pattern, path.Base(name))
		return whole || last
	}
	return (len(*o.include) == 0 || slices.ContainsFunc(*o.include, matches)) && !slices.ContainsFunc(*o.exclude, matches)
}

func (o versionOptions) check() error {
	for _, pattern := range slices.Concat(*o.include, *o.exclude) {
		if _, err := path.Match(pattern, ""); err != nil {
			return usage{fmt.Errorf("pattern %q: %w; write one such as '*.safetensors'", pattern, err)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(*o.metrics)) {
		text := (*o.metrics)[name]
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return usage{fmt.Errorf("--metric %s=%s: not a number; write one such as --metric accuracy=0.93", name, text)}
		}
	}
	return nil
}

func (a *app) newVersion(cmd *cobra.Command, flags versionOptions, model, version string) (*newVersion, error) {
	root, err := a.root()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "davit.yaml")); err != nil {
		return nil, registry.ErrNoRegistry
	}
	if err := flags.check(); err != nil {
		return nil, err
	}
	builder, err := a.images(nil, nil)
	if err != nil {
		return nil, err
	}
	v := &newVersion{root: root, model: model, version: version, builder: builder, keep: flags.keep}
	return v, v.check()
}

// newVersion is a ModelVersion being put together.
type newVersion struct {
	root, model, version string
	dir                  string // the model's folder
	owners               []string
	builder              *image.Builder
	keep                 func(path string) bool
	about                image.Knowledge
	files                []registry.File
	copies               map[string]string // place in the repository -> file it comes from
}

// String tells what the version is, as far as its files do.
func (v *newVersion) String() string {
	k := v.about
	text := v.model + "@" + v.version + ": " + plan.Describe(registry.ModelVersionSpec{
		Files: v.files, Format: k.Format, Architecture: k.Architecture, Precision: k.Precision, Quantization: k.Quantization,
		Parameters: k.Parameters, Opset: k.Opset,
	})
	if k.Tensors > 0 {
		text += " in " + counted(k.Tensors, "tensor")
	}
	for _, f := range v.files {
		if kind := registry.CarriesCode(f.Path); kind != "" {
			text += fmt.Sprintf("\n%s carries code (%s): environments refuse it unless they say allowCode: [%s]", f.Path, kind, kind)
		}
	}
	return text
}

func (v *newVersion) file() string {
	return path.Join(v.dir, "versions", v.version+".yaml")
}

func (v *newVersion) check() error {
	if err := errors.Join(registry.CheckName("model", v.model), registry.CheckName("version", v.version)); err != nil {
		return usage{err}
	}
	if err := v.findFolder(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(v.root, filepath.FromSlash(v.file()))); err == nil {
		return fmt.Errorf("%s exists, and a version never changes; choose another name", v.file())
	}
	return nil
}

// findFolder sets the model's folder: where it is, or models/MODEL for a new one.
func (v *newVersion) findFolder() error {
	fsys := os.DirFS(v.root)
	teams, err := fs.ReadDir(fsys, "teams")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	places := []string{path.Join("models", v.model)}
	for _, team := range teams {
		places = append(places, path.Join("teams", team.Name(), "models", v.model))
	}
	for _, dir := range places {
		switch info, err := fs.Stat(fsys, dir); {
		case err != nil || !info.IsDir():
		case v.dir != "":
			return fmt.Errorf("model %q is in %s and in %s; remove one of them", v.model, v.dir, dir)
		default:
			v.dir = dir
		}
	}
	if v.dir == "" {
		v.dir = places[0]
	}
	return nil
}

func (v *newVersion) addAll(ctx context.Context, sources []string) error {
	for _, source := range sources {
		found, err := v.find(ctx, source)
		if err != nil {
			return fmt.Errorf("adding %s: %w", shown(source), err)
		}
		for _, f := range found {
			if err := registry.CheckFile(f.File); err != nil {
				return fmt.Errorf("adding %s: %w", shown(source), err)
			}
			if slices.ContainsFunc(v.files, func(have registry.File) bool { return have.Path == f.Path }) {
				return fmt.Errorf("adding %s: two files are called %s; choose with --include and --exclude", shown(source), f.Path)
			}
			v.about = v.about.Merge(f.Knowledge)
			v.files = append(v.files, f.File)
		}
	}
	if n := len(v.files); n > image.MaxFiles {
		return fmt.Errorf("%d files: an image holds 1 to %d; choose with --include and --exclude", n, image.MaxFiles)
	}
	return nil
}

// shown is a source for people to read.
func shown(source string) string {
	if strings.Contains(source, "://") {
		return image.Redact(source)
	}
	return source
}

// find lists the files of one source.
func (v *newVersion) find(ctx context.Context, source string) ([]image.Found, error) {
	if strings.Contains(source, "://") {
		if err := registry.CheckFile(registry.File{Path: "file", Source: source}); err != nil {
			return nil, err
		}
		return v.builder.Discover(ctx, source, v.keep)
	}
	info, err := os.Stat(source)
	if err != nil {
		return nil, fmt.Errorf("%w; name a file, a folder or an address such as hf://organisation/repository", err)
	}
	if !info.IsDir() {
		f, err := v.local(ctx, source, filepath.Base(source))
		return []image.Found{f}, err
	}
	var all []image.Found
	err = filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if file != source && strings.HasPrefix(d.Name(), ".") { // .git, .cache and the like
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(source, file)
		if err != nil || d.IsDir() || !v.keep(filepath.ToSlash(rel)) {
			return err
		}
		f, err := v.local(ctx, file, filepath.ToSlash(rel))
		all = append(all, f)
		return err
	})
	if err == nil && len(all) == 0 {
		err = errors.New("no file in it is asked for; --include and --exclude choose, and what begins with a dot is passed over")
	}
	return all, err
}

// local hashes a file, or takes the word of a Git LFS pointer. A symbolic link to a file outside is the file, as in the
// folders where tools keep what they have downloaded; in the repository it is refused, as by the build.
func (v *newVersion) local(ctx context.Context, file, name string) (found image.Found, err error) {
	switch info, err := os.Stat(file); {
	case err != nil:
		return found, err
	case info.IsDir():
		return found, fmt.Errorf("%s is a symbolic link to a folder; name the folder itself", file)
	case !info.Mode().IsRegular():
		return found, fmt.Errorf("%s is neither a file nor a folder; name one that is", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	place, err := v.placeOf(file, name)
	if err != nil {
		return found, err
	}
	if _, outside := v.copies[place]; !outside {
		if info, err := os.Lstat(file); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return found, fmt.Errorf("%s is a symbolic link in the repository, which is not followed; name the file itself", file)
		}
	}
	found.File = registry.File{Path: name, Source: place}
	head := make([]byte, 1024)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return found, err
	}
	if pointer, ok := image.ParsePointer(head[:n]); ok {
		found.SHA256, found.Size = pointer.SHA256, pointer.Size
		return found, nil
	}
	seen, err := image.Inspect(name, &reader{ctx, io.MultiReader(bytes.NewReader(head[:n]), f)})
	found.SHA256, found.Size, found.Knowledge = seen.SHA256, seen.Size, seen.Knowledge
	return found, err
}

// placeOf is a file's path from the repository's root; one outside is to be copied in.
func (v *newVersion) placeOf(file, name string) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(v.root, abs); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel), nil
	}
	place := path.Join(v.dir, "files", v.version, name)
	if v.copies == nil {
		v.copies = map[string]string{}
	}
	v.copies[place] = abs
	return place, nil
}
