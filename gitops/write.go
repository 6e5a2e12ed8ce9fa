package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/memory"
)

// ErrMoved says that a ref is no longer where the new commit was built on: somebody was faster. Nothing was written;
// read the ref again and try anew.
var ErrMoved = errors.New("the ref moved")

// ErrReadOnly says that the repository takes no writes from these credentials; the error's text has the server's words.
var ErrReadOnly = errors.New("the repository refuses to be written")

// errRefused is an answer that is neither: another try gets the same.
var errRefused = errors.New("the repository refuses the ref")

// refUpdate moves a ref from old to new, and only from old: the zero hash is a ref that does not exist.
type refUpdate struct {
	name     plumbing.ReferenceName
	old, new Hash
}

// batch holds new objects in memory until publish writes them with the refs that need them.
type batch struct {
	source *Source
	staged *memory.Storage
	hashes []Hash
	size   int
}

func (s *Source) newBatch() *batch { return &batch{source: s, staged: memory.NewStorage()} }

func (b *batch) add(t plumbing.ObjectType, data []byte) (Hash, error) {
	obj := &plumbing.MemoryObject{}
	obj.SetType(t)
	if _, err := obj.Write(data); err != nil {
		return Hash{}, err
	}
	h := obj.Hash()
	if b.staged.HasEncodedObject(h) != nil {
		b.hashes, b.size = append(b.hashes, h), b.size+len(data)
	}
	_, err := b.staged.SetEncodedObject(obj)
	return h, err
}

func (b *batch) commit(a Author, tree Hash, parents []Hash, when time.Time, message string) (Hash, error) {
	data, err := a.encode(tree, parents, when, message)
	if err != nil {
		return Hash{}, err
	}
	return b.add(plumbing.CommitObject, data)
}

// pack is a pack file of the batch's objects alone, without deltas: they are few and mostly text of their own.
func (b *batch) pack() ([]byte, error) {
	var out bytes.Buffer
	_, err := packfile.NewEncoder(&out, b.staged, false).Encode(b.hashes, 0)
	return out.Bytes(), err
}

// publish writes the objects and then moves the refs, all or none where the repository can. It never forces: ErrMoved is
// a lost race, ErrReadOnly no permission. A ref that is at its new place already is left alone, so a write whose answer
// got lost can be repeated. A nil batch has no objects.
func (s *Source) publish(ctx context.Context, b *batch, updates ...refUpdate) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.mirror != nil {
		return s.mirror.push(ctx, b, updates)
	}
	if err := s.store.add(b); err != nil {
		return fmt.Errorf("writing to %s: %w", s.Path(), err)
	}
	if err := s.store.update(updates); err != nil {
		return fmt.Errorf("writing to %s: %w", s.Path(), err)
	}
	return nil
}

// refetch makes what is written next build on the newest: a local repository is that itself.
func (s *Source) refetch(ctx context.Context) error {
	if s.mirror == nil {
		return nil
	}
	return s.mirror.fetch(ctx, s.branch, s.chooser())
}

// add writes loose objects, as git does for a few.
func (s *store) add(b *batch) error {
	if b == nil {
		return nil
	}
	return s.with(func(st *filesystem.Storage) error {
		for _, h := range b.hashes {
			obj, err := b.staged.EncodedObject(plumbing.AnyObject, h)
			if err != nil {
				return err
			}
			if st.HasEncodedObject(h) == nil {
				continue
			}
			if _, err := st.SetEncodedObject(obj); err != nil {
				return err
			}
		}
		return nil
	})
}
