package devcluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// compileOwn puts one of this package's own main packages at file. They need the standard library only, so that
// the hash of the sources below this folder names the binary: linking it anew takes a second of each start.
func compileOwn(ctx context.Context, pkg, file string) error {
	source, err := sourceDir(ctx)
	if err != nil {
		return err
	}
	key, err := hashSources(source)
	if err != nil {
		return fmt.Errorf("hashing %s: %w", source, err)
	}
	root, err := cacheRoot()
	if err != nil {
		return err
	}
	kept := filepath.Join(root, "own-"+key, path.Base(pkg))
	if !executable(kept) {
		if err := compileKept(ctx, source, pkg, kept); err != nil {
			return err
		}
	}
	if err := os.Link(kept, file); err == nil {
		return nil
	}
	data, err := os.ReadFile(kept) // another file system
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o755)
}

// compileKept builds into the cache in one step, and drops the binaries of other sources.
func compileKept(ctx context.Context, source, pkg, kept string) error {
	dir := filepath.Dir(kept)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "own-*"))
	if err != nil {
		return err
	}
	for _, other := range old {
		if other != dir {
			err = errors.Join(err, os.RemoveAll(other))
		}
	}
	if err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.%d", kept, os.Getpid())
	defer os.Remove(temp)
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", temp, pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, tail(out))
	}
	return os.Rename(temp, kept)
}

// hashSources covers the compiler and every Go file below dir but those of the nested modules.
func hashSources(dir string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name == filepath.Join(dir, "build"):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(name)
		fmt.Fprintf(h, "%q %d\n", strings.TrimPrefix(name, dir), len(data))
		h.Write(data)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:12], err
}
