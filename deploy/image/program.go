package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is davit, compiled for one platform.
type program struct {
	system, architecture string
	path                 string
	info                 *buildinfo.BuildInfo
}

func (p *program) platform() string { return p.system + "/" + p.architecture }

// programs are those of all platforms, in a temporary folder.
type programs struct {
	dir string
	all []*program
}

func (p programs) remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// compile compiles davit for each platform.
func (o order) compile(ctx context.Context) (p programs, err error) {
	if p.dir, err = os.MkdirTemp("", "davit-image-"); err != nil {
		return p, err
	}
	for _, platform := range o.platforms {
		one, err := o.compileFor(ctx, platform, p.dir)
		if err != nil {
			return p, fmt.Errorf("compiling for %s: %w", platform, err)
		}
		p.all = append(p.all, one)
	}
	return p, nil
}

func (o order) compileFor(ctx context.Context, platform, dir string) (*program, error) {
	p := &program{}
	p.system, p.architecture, _ = strings.Cut(platform, "/")
	p.path = filepath.Join(dir, "davit-"+p.system+"-"+p.architecture)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.linkedVersion="+o.version+" -X main.linkedCommit="+o.commit, "-o", p.path, "./cmd/davit")
	cmd.Dir = o.source
	// What a developer has set for the compiler would be in the bytes.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.system, "GOARCH="+p.architecture,
		"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	var err error
	p.info, err = buildinfo.ReadFile(p.path)
	return p, err
}
