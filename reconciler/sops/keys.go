package sops

import (
	"bytes"
	"context"
	"crypto/aes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	pgparmor "github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Keys are what data keys are decrypted with. The zero value has none.
type Keys struct {
	// From says where the keys are from, for errors: "Secret davit/sops-keys".
	From string
	// GPG decrypts an armored message with the keys of a person, whom it may ask for a passphrase; nil for nobody.
	GPG func(ctx context.Context, message string) ([]byte, error)

	age []age.Identity
	pgp openpgp.EntityList
}

// NoKeyError says that an object is encrypted for others. It may be decrypted another day, by other keys.
type NoKeyError struct {
	From       string // where keys were looked for
	Recipients []string
	Err        error // of a key that should fit; may be nil
}

func (e *NoKeyError) Error() string {
	text := "no key of " + e.From + " decrypts it"
	if e.From == "" {
		text = "there is no key to decrypt it with"
	}
	text += fmt.Sprintf(" (it is encrypted for %s)", strings.Join(e.Recipients, ", "))
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *NoKeyError) Unwrap() error { return e.Err }

// Parse reads the keys of a Secret: age identities under names that end in .agekey, and armored OpenPGP private keys without
// passphrase under names that end in .asc. Others are passed over. No error holds what it could not read.
func Parse(data map[string][]byte) (k Keys, err error) {
	for _, name := range slices.Sorted(maps.Keys(data)) {
		switch {
		case strings.HasSuffix(name, ".agekey"):
			err = k.AddAge(string(data[name]))
		case strings.HasSuffix(name, ".asc"):
			err = k.addPGP(data[name])
		}
		if err != nil {
			return k, fmt.Errorf("key %s: %w", name, err)
		}
	}
	if len(k.age)+len(k.pgp) == 0 {
		return k, errors.New("it has no age identity (a name that ends in .agekey) and no OpenPGP key (.asc)")
	}
	return k, nil
}

// AddAge adds age identities, one a line.
func (k *Keys) AddAge(lines string) error {
	ids, err := age.ParseIdentities(strings.NewReader(lines))
	if err != nil {
		return errors.New("it holds no age identities: lines AGE-SECRET-KEY-…, as age-keygen writes them") // err may quote one
	}
	k.age = append(k.age, ids...)
	return nil
}

func (k *Keys) addPGP(armored []byte) error {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil {
		return fmt.Errorf("it holds no armored OpenPGP key: %w", err)
	}
	for _, e := range ring {
		if e.PrivateKey == nil {
			return errors.New("it holds a public key; export the private one (gpg --export-secret-keys --armor)")
		}
		if e.PrivateKey.Encrypted {
			return errors.New("it has a passphrase, which nobody is there to enter; export it without")
		}
	}
	k.pgp = append(k.pgp, ring...)
	return nil
}

// dataKey decrypts it with the first key that fits.
func (m metadata) dataKey(ctx context.Context, keys Keys) ([]byte, error) {
	none := &NoKeyError{From: keys.From, Recipients: m.recipients}
	for _, w := range m.age {
		if len(keys.age) == 0 {
			break
		}
		key, err := openAge(w.enc, keys.age)
		if err == nil {
			return key, nil
		}
		if !errors.As(err, new(*age.NoIdentityMatchError)) {
			none.Err = err
		}
	}
	for _, w := range m.pgp {
		if len(keys.pgp) > 0 {
			if key, err := openPGP(w.enc, keys.pgp); err == nil {
				return key, nil
			}
		}
		if keys.GPG != nil {
			key, err := keys.GPG(ctx, w.enc)
			if err == nil {
				return key, nil
			}
			none.Err = err
		}
	}
	return nil, none
}

// mostKey bounds what is read of a decrypted data key, of which a wrong one may be any length.
const mostKey = 4 * aes.BlockSize

func openAge(enc string, ids []age.Identity) ([]byte, error) {
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(enc)), ids...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, mostKey))
}

func openPGP(enc string, ring openpgp.EntityList) ([]byte, error) {
	block, err := pgparmor.Decode(strings.NewReader(enc))
	if err != nil {
		return nil, err
	}
	message, err := openpgp.ReadMessage(block.Body, ring, nil, nil)
	if err != nil {
		return nil, err
	}
	// At its end the message's integrity is checked.
	return io.ReadAll(io.LimitReader(message.UnverifiedBody, mostKey))
}
