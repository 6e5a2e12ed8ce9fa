package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// contentSHA256 reads content to its end, in constant memory.
func contentSHA256(ctx context.Context, f registry.File, r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, contextReader{ctx, r}, make([]byte, 256<<10))
	if err != nil {
		return "", err
	}
	if n == 0 {
		return "", errEmpty(f)
	}
	return sum(h), nil
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// Variables for tests.
var (
	// maxListed is how many objects of a folder are hashed: 64 MiB of digests.
	maxListed = 2_000_000
	// maxPages is how many pages a listing may have: they hold 1000 or 5000 objects, but a store may send few, or none.
	maxPages = 20_000
)

// listingSHA256 is the digest of all that lies below a folder, as [Builder.ResolveDataset] says it. The order of the listing
// does not count: not every store has the same one, and some have none.
func listingSHA256(ctx context.Context, f registry.File, o objectRef, store objectStore) (string, error) {
	var lines [][sha256.Size]byte
	token := ""
	for range maxPages {
		page, next, err := listPage(ctx, f, o, store, token)
		if err != nil {
			return "", err
		}
		for _, l := range page {
			name, below := strings.CutPrefix(l.key, o.key)
			if !below {
				return "", fmt.Errorf("listing %s: the store answers with %q, which is not below it", redact(f.Source), l.key)
			}
			switch {
			case name == "" || strings.HasSuffix(name, "/"): // an empty object that consoles make to show a folder
			case l.tag == "":
				return "", fmt.Errorf("listing %s: the store tells nothing of %q by which a change of it would show", redact(f.Source), l.key)
			default:
				lines = append(lines, sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", l.size, l.tag, name)))
			}
		}
		if len(lines) > maxListed {
			return "", contentErrorf("source %s has more than %d objects; name a manifest of them instead, or pack them into fewer", redact(f.Source), maxListed)
		}
		if next == "" {
			return sumOfLines(f, lines)
		}
		if next == token {
			return "", fmt.Errorf("listing %s: the store sends the same page again and again", redact(f.Source))
		}
		token = next
	}
	return "", fmt.Errorf("listing %s: more than %d pages; name a manifest of the objects instead", redact(f.Source), maxPages)
}

func sumOfLines(f registry.File, lines [][sha256.Size]byte) (string, error) {
	if len(lines) == 0 {
		return "", contentErrorf("source %s has no objects in it; correct the address or put the data there", redact(f.Source))
	}
	slices.SortFunc(lines, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for i := range lines {
		h.Write(lines[i][:])
	}
	return sum(h), nil
}

// listPage asks for a page, and again when that failed and may pass.
func listPage(ctx context.Context, f registry.File, o objectRef, store objectStore, token string) (page []listed, next string, err error) {
	err = asked(ctx, f, func(ctx context.Context) error {
		page, next, err = store.list(ctx, o, token)
		return err
	})
	return page, next, err
}

// asked asks a store, and again when that failed and may pass.
func asked(ctx context.Context, f registry.File, ask func(ctx context.Context) error) error {
	for tried := 0; ; tried++ {
		passing := true
		err := answer(ctx, f, func(ctx context.Context) error {
			err := ask(ctx)
			if err != nil {
				passing, err = storeError(f, err)
			}
			return err
		})
		if err == nil || !passing || tried == retries || ctx.Err() != nil {
			return err
		}
		if err := sleep(ctx, backoff<<tried); err != nil {
			return err
		}
	}
}
