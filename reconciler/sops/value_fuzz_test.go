package sops

import (
	"bytes"
	"crypto/aes"
	gocipher "crypto/cipher"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// FuzzValue changes an encrypted value: it is decrypted in its place and as it was, or not at all, and no error quotes it.
func FuzzValue(f *testing.F) {
	key, iv, clear := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{3}, 32), "pl4nted-s3cret"
	block, err := aes.NewCipher(key)
	if err != nil {
		f.Fatal(err)
	}
	gcm, err := gocipher.NewGCMWithNonceSize(block, len(iv))
	if err != nil {
		f.Fatal(err)
	}
	sealed := gcm.Seal(nil, iv, []byte(clear), []byte("data:password:"))
	cut := len(sealed) - gcm.Overhead()
	text := fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:str]", base64.StdEncoding.EncodeToString(sealed[:cut]), base64.StdEncoding.EncodeToString(iv), base64.StdEncoding.EncodeToString(sealed[cut:]))
	c, err := newCipher(key)
	if err != nil {
		f.Fatal(err)
	}
	if got, err := c.decrypt(text, "data", "password"); err != nil || got != clear {
		f.Fatal(got, err)
	}
	f.Add(text, "data", "password")
	f.Add(text, "stringData", "password")
	f.Add(strings.Replace(text, "type:str", "type:int", 1), "data", "password")
	f.Add("ENC[AES256_GCM,data:=,iv:=,tag:=,type:str]", "data", "x:")
	f.Fuzz(func(t *testing.T, text, field, name string) {
		got, err := c.decrypt(text, field, name)
		switch {
		case err != nil && strings.Contains(err.Error(), clear) && !strings.Contains(text+field+name, clear):
			t.Error(err)
		case err == nil && text != "" && (got != clear || field+":"+name != "data:password"):
			t.Errorf("%q of %s.%s is %q", text, field, name, got)
		}
	})
}
