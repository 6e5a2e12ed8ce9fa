package gitops

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/config"
)

// SignersFile is the allowed signers file that Git's configuration names (gpg.ssh.allowedSignersFile): the repository's
// own, else the user's, else the system's. "" when none does.
func (s *Source) SignersFile() (string, error) {
	s.store.mu.Lock()
	local, err := s.store.st.Config()
	s.store.mu.Unlock()
	if err != nil {
		return "", fmt.Errorf("reading the repository's config: %w", err)
	}
	if name := signersFile(local); name != "" {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.Root(), name) // where git runs
		}
		return name, nil
	}
	for _, scope := range []config.Scope{config.GlobalScope, config.SystemScope} {
		if c, err := config.LoadConfig(scope); err == nil { // one that can't be read is git's to complain about
			if name := signersFile(c); name != "" {
				return name, nil
			}
		}
	}
	return "", nil
}

// signersFile reads a path as git does (gitconfig(5), pathname): ~/ is the home folder.
func signersFile(c *config.Config) string {
	name := c.Raw.Section("gpg").Subsection("ssh").Option("allowedSignersFile")
	if below, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, below)
		}
	}
	return name
}
