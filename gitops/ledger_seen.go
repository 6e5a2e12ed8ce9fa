package gitops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// seenRuns is a file in the Git folder with the tip of the ledger that was seen last here. By it a process knows of a ledger
// that went back while none ran. It is no ref: one of a repository that is pushed to would go with the ledger, by the same
// push --mirror. So nothing keeps git's gc from removing the commits of a ledger that is gone, two weeks after that.
const seenRuns = "davit/runs"

// seenFile is that file; "" for a ledger somewhere else, which is a copy.
func (l *Ledger) seenFile() string {
	if l.ref != RunsRef {
		return ""
	}
	return filepath.Join(l.source.Dir(), filepath.FromSlash(seenRuns))
}

// seen reads the file; the zero hash where there is none. One that can't be read is an error, since it may say that runs
// are missing.
func (l *Ledger) seen() (Hash, error) {
	data, err := os.ReadFile(l.seenFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Hash{}, nil
	}
	h := ParseHash(strings.TrimSpace(string(data)))
	if err == nil && h.IsZero() {
		err = fmt.Errorf("%s:1: it is no commit; remove the file if no run of the ledger is missing", l.seenFile())
	}
	return h, err
}

// before is the tip that the ledger must have come from: what this Ledger read last, or else another process did. None when
// a person removed the file, which says that what is gone was meant to go. It needs l.mu.
func (l *Ledger) before() (Hash, error) {
	if l.seenFile() == "" {
		return l.tip, nil
	}
	seen, err := l.seen()
	switch {
	case err != nil:
		return Hash{}, err
	case seen.IsZero() && !l.noted.IsZero():
		return Hash{}, nil
	case l.tip.IsZero():
		return seen, nil
	}
	return l.tip, nil
}

// note writes the file. Who only reads somebody's repository leaves it alone; a mirror is davit's own. Where it can't be
// written the ledger is as good as without, so that is only told of. It needs l.mu.
func (l *Ledger) note() {
	if l.tip.IsZero() || l.tip == l.noted || l.seenFile() == "" || l.author.Name == "" && l.source.mirror == nil {
		return
	}
	if err := replaceFile(l.seenFile(), []byte(l.tip.String()+"\n")); err != nil {
		if !l.mute {
			l.source.log.Warn("that the ledger of runs was seen is not kept; should it be removed while davit does not run, nobody will know", "err", err)
		}
		l.mute = true
		return
	}
	l.noted = l.tip
}

// replaceFile writes a file whole or not at all. The last of several that do it at once wins.
func replaceFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
