package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/davit-dev/davit/reconciler/sops"
)

// decryption is where SOPS itself looks for the keys of the person at the keyboard
// (https://getsops.io/docs/#encrypting-using-age): SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, sops/age/keys.txt in the folder of
// the user's settings, and gpg's keyring. None of them is written anywhere.
func decryption(context.Context) (keys sops.Keys, err error) {
	var from []string
	if text := os.Getenv("SOPS_AGE_KEY"); text != "" {
		// Several may be in one line, since it is a variable.
		if err := keys.AddAge(strings.Join(strings.Fields(text), "\n")); err != nil {
			return keys, fmt.Errorf("SOPS_AGE_KEY: %w", err)
		}
		from = append(from, "SOPS_AGE_KEY")
	}
	if file := os.Getenv("SOPS_AGE_KEY_FILE"); file != "" {
		if err := ageFile(&keys, file); err != nil {
			return keys, fmt.Errorf("SOPS_AGE_KEY_FILE: %w", err)
		}
		from = append(from, "SOPS_AGE_KEY_FILE")
	}
	if settings, err := os.UserConfigDir(); err == nil {
		file := filepath.Join(settings, "sops", "age", "keys.txt")
		switch err := ageFile(&keys, file); {
		case err == nil:
			from = append(from, file)
		case !errors.Is(err, fs.ErrNotExist):
			return keys, err
		}
	}
	if path, err := exec.LookPath("gpg"); err == nil {
		keys.GPG = func(ctx context.Context, message string) ([]byte, error) { return gpg(ctx, path, message) }
		from = append(from, "gpg's keyring")
	}
	keys.From = strings.Join(from, ", ")
	return keys, nil
}

func ageFile(keys *sops.Keys, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := keys.AddAge(string(text)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// gpg decrypts a message by the user's own program: its agent alone has the keys, and asks for passphrases.
func gpg(ctx context.Context, path, message string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, "--quiet", "--decrypt")
	cmd.Stdin = strings.NewReader(message)
	var why bytes.Buffer
	cmd.Stderr = &why
	key, err := cmd.Output()
	if err == nil && len(key) == 0 { // an old gpg passes over packets it does not know
		err = errors.New("it gave nothing")
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(why.String()), "\n")
		return nil, fmt.Errorf("gpg --decrypt: %w: %s", err, lines[len(lines)-1])
	}
	return key, nil
}
