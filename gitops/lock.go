package gitops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lockTimeout is how long another git may hold a ref; git's own default for packed-refs is a second too.
const lockTimeout = time.Second

// A lock that nobody holds any more was left by a davit that was killed. Its own refs nobody else locks for long; a branch that it
// proposes on may be another git's.
const (
	ownStale    = time.Second
	branchStale = time.Minute
)

// refLock is <file>.lock, which who makes it holds; a davit has a flock(2) on it besides, which ends with its process.
type refLock struct {
	*os.File
	file string
	gone bool
}

// lock takes a file's lock as git does, waiting a little for another's.
func lock(file string) (*refLock, error) {
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(5 * time.Millisecond) {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return nil, err
		}
		l, err := os.OpenFile(file+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		switch {
		case err == nil:
			_ = syscall.Flock(int(l.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			return &refLock{File: l, file: file}, nil
		case errors.Is(err, fs.ErrNotExist): // a git that deletes its last ref removed the folder
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		case left(file):
			continue
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s.lock is held by another git; remove it if none is running", file)
		}
	}
}

// left removes a lock that a davit which was killed has left, and says whether it did.
func left(file string) bool {
	stale := ownStale
	switch name := filepath.ToSlash(file); {
	case strings.Contains(name, "/refs/davit/"), strings.Contains(name, "/refs/notes/davit"):
	case strings.Contains(name, "/refs/heads/davit/"):
		stale = branchStale
	default:
		return false
	}
	l, err := os.OpenFile(file+".lock", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer l.Close()
	if syscall.Flock(int(l.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false // a davit that lives
	}
	held, err := l.Stat()
	if err != nil || time.Since(held.ModTime()) < stale {
		return false
	}
	now, err := os.Lstat(file + ".lock")
	return err == nil && os.SameFile(held, now) && os.Remove(file+".lock") == nil
}

// replace gives the file a content, which ends the lock.
func (l *refLock) replace(data []byte) error {
	_, err := l.Write(data)
	if err := errors.Join(err, l.Sync(), l.Close()); err != nil {
		return err
	}
	err = os.Rename(l.Name(), l.file)
	l.gone = err == nil
	return err
}

// release ends a lock that did not replace its file. After that the name may be another git's lock already.
func (l *refLock) release() {
	if !l.gone {
		_ = l.Close()
		_ = os.Remove(l.Name())
		l.gone = true
	}
}
