// Command image makes davit's own OCI image without a container daemon: it compiles cmd/davit for each platform, puts the
// program into one layer beside CA certificates, attaches an SBOM to each platform's image, and pushes an index over them.
// Or it writes the programs themselves, with checksums and SBOMs. What it makes is a function of the source and of the
// version and commit that it is told: neither the time, the folder nor the machine changes a byte.
//
// It runs in the module's root: go run ./deploy/image --to registry.example.com/davit:v1.2.0
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// order is what is to be made.
type order struct {
	source    string // the module's root
	version   string
	commit    string
	platforms []string
	to        string // REPOSITORY:TAG that the image is pushed to; not pushed when empty
	layout    string // a folder for the image as an OCI layout; not written when empty
	binaries  string // a folder for the programs themselves; not written when empty
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	programs, err := o.compile(ctx)
	defer programs.remove()
	if err != nil {
		return err
	}
	if o.binaries != "" {
		if err := o.writeBinaries(programs.all, stdout); err != nil {
			return fmt.Errorf("writing binaries: %w", err)
		}
	}
	if o.to == "" && o.layout == "" {
		return nil
	}
	made, err := o.image(programs.all)
	if err != nil {
		return fmt.Errorf("making the image: %w", err)
	}
	if o.layout != "" {
		if err := made.write(o.layout); err != nil {
			return fmt.Errorf("writing %s: %w", o.layout, err)
		}
	}
	digest, err := made.index.Digest()
	if err != nil {
		return err
	}
	if o.to == "" {
		fmt.Fprintln(stdout, digest)
		return nil
	}
	ref, err := made.push(ctx, o.to)
	if err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	fmt.Fprintln(stdout, ref)
	return nil
}

func parse(args []string) (o order, err error) {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&o.source, "source", ".", "davit's source: the folder of go.mod")
	flags.StringVar(&o.version, "version", "devel", "version of davit that the program and the image state")
	flags.StringVar(&o.commit, "commit", "", "commit that they state")
	platforms := flags.String("platforms", "", "platforms, with commas between them (default linux/amd64,linux/arm64, and with --binaries darwin too)")
	flags.StringVar(&o.to, "to", "", "push the image to REPOSITORY:TAG, with the credentials of docker login")
	flags.StringVar(&o.layout, "layout", "", "write the image to this folder, as an OCI layout")
	flags.StringVar(&o.binaries, "binaries", "", "write the programs to this folder, with checksums and SBOMs")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	image := o.to != "" || o.layout != ""
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case !image && o.binaries == "":
		return o, errors.New("nothing to make: pass --to REPOSITORY:TAG, --layout DIR or --binaries DIR")
	case image && o.binaries != "":
		return o, errors.New("--binaries is for other platforms than an image: run it by itself")
	case *platforms != "":
		o.platforms = strings.Split(*platforms, ",")
	case image:
		o.platforms = []string{"linux/amd64", "linux/arm64"}
	default:
		o.platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"}
	}
	for _, p := range o.platforms {
		system, _, ok := strings.Cut(p, "/")
		if !ok || image && system != "linux" {
			return o, fmt.Errorf("platform %q: an image's are linux/ARCHITECTURE, a binary's SYSTEM/ARCHITECTURE", p)
		}
	}
	return o, nil
}
