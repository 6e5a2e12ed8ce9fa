package image

import (
	"context"
	"fmt"
	"io"

	"github.com/davit-dev/davit/registry"
)

// resolveObject gives an object's version, or else its sha256; and a folder's listing.
func (s sources) resolveObject(ctx context.Context, d registry.Dataset, f registry.File, secret Secret) (registry.Dataset, error) {
	o, ok := parseObject(d.URI)
	if !ok {
		return d, contentErrorf("source %s is not of the form scheme://bucket/key, or scheme://bucket/folder/", redact(d.URI))
	}
	if o.scheme == "s3" && o.version == noVersion {
		return d, contentErrorf("source %s names what has no version, which the next writer replaces; leave ?versionId= out", redact(d.URI))
	}
	store, closeStore, err := s.store(ctx, o, secret)
	if err != nil {
		return d, fmt.Errorf("opening %s: %w", redact(d.URI), err)
	}
	defer closeStore()
	if o.folder() {
		d.SHA256, err = listingSHA256(ctx, f, o, store)
		return d, err
	}
	state, err := statObject(ctx, f, o, store)
	if err != nil {
		return d, err
	}
	d.SHA256 = state.sha256
	switch {
	case o.version != "" && state.version == o.version: // pinned by whoever wrote it
	case state.version != "" && o.version == "":
		d.URI = o.at(state.version)
	case state.version != "":
		return d, fmt.Errorf("reading %s: the store answers with the version %q", redact(d.URI), state.version)
	case d.SHA256 == "":
		d.SHA256, err = readAnew(ctx, f, whole(f, o, store))
	}
	return d, err
}

// maxVersion is how long S3 says that the name of a version may be.
const maxVersion = 1024

func statObject(ctx context.Context, f registry.File, o objectRef, store objectStore) (state objectState, err error) {
	err = asked(ctx, f, func(ctx context.Context) error {
		state, err = store.stat(ctx, o)
		return err
	})
	if err == nil && state.size == 0 {
		err = errEmpty(f)
	}
	if err == nil && len(state.version) > maxVersion {
		err = fmt.Errorf("reading %s: the store calls its version by %d characters", redact(f.Source), len(state.version))
	}
	return state, err
}

// whole opens an object; after a break, only what is still the same.
func whole(f registry.File, o objectRef, store objectStore) connect {
	var state objectState
	return func(ctx context.Context, offset int64) (io.ReadCloser, int64, bool, error) {
		var err error
		if offset == 0 {
			state, err = store.stat(ctx, o)
		} else if state.etag == "" {
			err = errMoved // perhaps: nothing tells
		}
		var body io.ReadCloser
		if err == nil {
			body, _, err = store.read(ctx, o, state, offset)
		}
		if err != nil {
			passing, err := storeError(f, err)
			return nil, 0, passing, err
		}
		return body, offset, false, nil
	}
}
