package image

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// Key signs images.
type Key struct {
	private crypto.Signer
	public  PublicKey
}

// PublicKey is whose signatures count.
type PublicKey struct {
	key crypto.PublicKey
	// hint is what a Sigstore bundle names the key by: the sha256 of its DER form, in base64.
	hint string
}

// ParseKey reads a private key in PEM: one that cosign generate-key-pair wrote, which the password opens, or a plain one
// (PKCS #8, or SEC 1 for elliptic curves). The key must be ECDSA P-256, as cosign's are, or Ed25519.
func ParseKey(data, password []byte) (*Key, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("signing key: is not PEM; cosign generate-key-pair makes one")
	}
	private, err := parsePrivate(block, password)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing key: a %T can't sign", private)
	}
	public, err := publicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return &Key{signer, public}, nil
}

func parsePrivate(block *pem.Block, password []byte) (any, error) {
	switch block.Type {
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		der, err := encrypted.Decrypt(block.Bytes, password)
		if err != nil {
			return nil, errors.New("the password is not the one it was written with; set COSIGN_PASSWORD")
		}
		return x509.ParsePKCS8PrivateKey(der)
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("is a %s, not a private key; cosign generate-key-pair makes one", block.Type)
}

// ParsePublicKeys reads public keys in PEM, one after the other.
func ParsePublicKeys(data []byte) (keys []PublicKey, err error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("is a %s, not a public key", block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		key, err := publicKey(parsed)
		if err != nil {
			return nil, err
		}
		keys, data = append(keys, key), rest
	}
	if len(keys) == 0 {
		return nil, errors.New("has no public key in PEM")
	}
	return keys, nil
}

func publicKey(key crypto.PublicKey) (PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return PublicKey{}, fmt.Errorf("is on curve %s; ECDSA keys must be P-256", k.Params().Name)
		}
	default:
		return PublicKey{}, fmt.Errorf("is a %T; ECDSA P-256 and Ed25519 are supported", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, err
	}
	sum := sha256.Sum256(der)
	return PublicKey{key, base64.StdEncoding.EncodeToString(sum[:])}, nil
}

func (k *Key) sign(data []byte) ([]byte, error) {
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		return k.private.Sign(rand.Reader, data, crypto.Hash(0))
	}
	sum := sha256.Sum256(data)
	return k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func (p PublicKey) verify(data, signature []byte) bool {
	switch k := p.key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, data, signature)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(data)
		return ecdsa.VerifyASN1(k, sum[:], signature)
	}
	return false
}
