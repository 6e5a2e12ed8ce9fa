package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push uploads everything, the tag last: nobody finds an image there whose SBOMs are not. It returns the reference by
// digest.
func (m *made) push(ctx context.Context, to string) (string, error) {
	tag, err := name.NewTag(to, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("%w; --to is REPOSITORY:TAG", err)
	}
	digest, err := m.index.Digest()
	if err != nil {
		return "", err
	}
	ref := tag.Digest(digest.String())
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(ref, m.index, options...); err != nil {
		return "", err
	}
	for _, a := range m.attached {
		for _, l := range a.layers {
			if err := remote.WriteLayer(tag.Repository, l, options...); err != nil {
				return "", err
			}
		}
		d, err := a.descriptor()
		if err != nil {
			return "", err
		}
		if err := remote.Put(tag.Digest(d.Digest.String()), a, options...); err != nil {
			return "", err
		}
	}
	return ref.String(), remote.Tag(tag, m.index, options...)
}

// write makes an OCI layout (OCI image spec, "Image Layout") of a folder that is empty or not there.
func (m *made) write(dir string) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("the folder is not empty; remove it or name another")
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(m.index); err != nil {
		return err
	}
	for _, a := range m.attached {
		for _, l := range a.layers {
			d, err := describe(l)
			if err != nil {
				return err
			}
			data, err := l.Compressed()
			if err != nil {
				return err
			}
			if err := path.WriteBlob(d.Digest, data); err != nil {
				return err
			}
		}
		d, err := a.descriptor()
		if err != nil {
			return err
		}
		if err := path.WriteBlob(d.Digest, io.NopCloser(bytes.NewReader(a.raw))); err != nil {
			return err
		}
		if err := path.AppendDescriptor(d); err != nil {
			return err
		}
	}
	return nil
}
