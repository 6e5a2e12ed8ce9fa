package sops

import (
	"crypto/aes"
	gocipher "crypto/cipher"
	"encoding/base64"
	"regexp"
)

// value is SOPS' form of an encrypted one (https://getsops.io/docs/#encryption-protocol).
var value = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]+),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:(str|int|float|bytes|bool)\]$`)

// IsValue says whether text is what SOPS writes for an encrypted value: empty ones are left as they are.
func IsValue(text string) bool { return text == "" || value.MatchString(text) }

// cipher decrypts the values of one object.
type cipher struct{ block gocipher.Block }

func newCipher(dataKey []byte) (*cipher, error) {
	if len(dataKey) != 32 {
		return nil, contentErrorf("the data key has %d bytes, not 32", len(dataKey))
	}
	block, err := aes.NewCipher(dataKey)
	return &cipher{block}, err
}

// decrypt wants the value where it was encrypted. A number or a truth value comes as its text: a Secret holds text only.
func (c *cipher) decrypt(text, field, key string) (string, error) {
	if text == "" {
		return "", nil
	}
	m := value.FindStringSubmatch(text)
	if m == nil {
		return "", contentErrorf("%s.%s is in clear beside encrypted values; encrypt the file anew (sops encrypt -i)", field, key)
	}
	var parts [3][]byte
	for i := range parts {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return "", contentErrorf("%s.%s is not what SOPS wrote: it is not base64", field, key)
		}
	}
	data, iv, tag := parts[0], parts[1], parts[2]
	gcm, err := gocipher.NewGCMWithNonceSize(c.block, len(iv))
	if err != nil || len(tag) != gcm.Overhead() {
		return "", contentErrorf("%s.%s is not what SOPS wrote: its tag has %d bytes", field, key, len(tag))
	}
	clear, err := gcm.Open(nil, iv, append(data, tag...), []byte(field+":"+key+":"))
	if err != nil {
		return "", contentErrorf("%s.%s was changed after it was encrypted, or comes from another place; encrypt the file anew", field, key)
	}
	return string(clear), nil
}
