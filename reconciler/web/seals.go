package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// seals encrypts what a browser keeps (AES-256-GCM): nobody reads or changes it, and one cookie is no other one.
type seals struct{ aead cipher.AEAD }

// newSeals uses a key of 32 bytes, or a random one.
func newSeals(key []byte) (*seals, error) {
	if key == nil {
		key = make([]byte, 32)
		_, _ = rand.Read(key)
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("a key for sessions has 32 bytes, not %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &seals{aead}, err
}

// mostSealed is what browsers keep of one cookie, less its name.
const mostSealed = 4000

func (s *seals) seal(name string, value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, data, []byte(name)))
	if len(text) > mostSealed {
		return "", errors.New("it is more than a browser keeps")
	}
	return text, nil
}

// open says whether a text is one that seal made under the same name.
func (s *seals) open(name, text string, value any) bool {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	data, err = s.aead.Open(nil, nil, data, []byte(name))
	return err == nil && json.Unmarshal(data, value) == nil
}

// random is a text that nobody guesses.
func random() string { return rand.Text() }
