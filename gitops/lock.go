package gitops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// lockTimeout is how long another git may hold a ref; git's own default for packed-refs is a second too.
const lockTimeout = time.Second

// refLock is <file>.lock, which who makes it holds.
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
			return &refLock{File: l, file: file}, nil
		case errors.Is(err, fs.ErrNotExist): // a git that deletes its last ref removed the folder
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s.lock is held by another git; remove it if none is running", file)
		}
	}
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
