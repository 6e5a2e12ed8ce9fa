package sops

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Field is where SOPS keeps what it needs to decrypt an object, at the object's top.
const Field = "sops"

// Encrypted says whether an object bears SOPS' field.
func Encrypted(o *unstructured.Unstructured) bool {
	_, ok := o.Object[Field]
	return ok
}

// ContentError is a fault of the encrypted object itself: no key helps.
type ContentError struct{ err error }

func (e *ContentError) Error() string { return e.err.Error() }

func (e *ContentError) Unwrap() error { return e.err }

func contentErrorf(format string, args ...any) error {
	return &ContentError{fmt.Errorf(format, args...)}
}

// Decrypt decrypts a Secret in place and takes SOPS' field away. A *NoKeyError says that none of the keys fits, a
// *ContentError that the object is not what SOPS made. No error holds a value.
func Decrypt(ctx context.Context, o *unstructured.Unstructured, keys Keys) error {
	if o.GroupVersionKind().GroupKind().String() != "Secret" {
		return contentErrorf("kind %s is encrypted; only Secrets are decrypted: put the secret values into one, and refer to it", o.GetKind())
	}
	meta, err := metadataOf(o)
	if err != nil {
		return err
	}
	dataKey, err := meta.dataKey(ctx, keys)
	if err != nil {
		return err
	}
	values, err := newCipher(dataKey)
	if err != nil {
		return err
	}
	for _, field := range []string{"data", "stringData"} {
		if err := decryptField(o, values, field); err != nil {
			return err
		}
	}
	delete(o.Object, Field)
	return nil
}

func decryptField(o *unstructured.Unstructured, values *cipher, field string) error {
	under, ok := o.Object[field].(map[string]any)
	if !ok {
		if o.Object[field] != nil {
			return contentErrorf("%s is no mapping", field)
		}
		return nil
	}
	clear := make(map[string]any, len(under))
	for _, key := range slices.Sorted(maps.Keys(under)) {
		text, ok := under[key].(string)
		if !ok {
			return contentErrorf("%s.%s is no text; encrypt the file anew", field, key)
		}
		value, err := values.decrypt(text, field, key)
		if err != nil {
			return err
		}
		if _, bad := base64.StdEncoding.DecodeString(value); field == "data" && bad != nil {
			return contentErrorf("data.%s is not base64 once decrypted; put text under stringData", key) // the error would quote it
		}
		clear[key] = value
	}
	o.Object[field] = clear
	return nil
}

// metadata is SOPS' field, as far as it says how to come by the data key. The rest says what of the file was
// encrypted, which the values themselves say.
type metadata struct {
	age, pgp   []wrapped
	others     []string // key services that nothing here asks
	recipients []string
}

// wrapped is the data key encrypted for one recipient.
type wrapped struct{ recipient, enc string }

func metadataOf(o *unstructured.Unstructured) (m metadata, err error) {
	field, ok := o.Object[Field].(map[string]any)
	if !ok {
		return m, &ContentError{errors.New("sops is no mapping")}
	}
	if n, _ := field["shamir_threshold"].(int64); n > 1 {
		return m, contentErrorf("the data key is split (shamir_threshold: %d); encrypt for one key group", n)
	}
	groups := []any{field}
	if more, ok := field["key_groups"].([]any); ok {
		groups = append(groups, more...)
	}
	for _, g := range groups {
		group, _ := g.(map[string]any)
		m.age = append(m.age, wrappedKeys(group["age"], "recipient")...)
		m.pgp = append(m.pgp, wrappedKeys(group["pgp"], "fp")...)
		for _, service := range []string{"kms", "gcp_kms", "azure_kv", "hc_vault", "hckms"} {
			if list, _ := group[service].([]any); len(list) > 0 {
				m.others = append(m.others, service)
			}
		}
	}
	for _, w := range slices.Concat(m.age, m.pgp) {
		m.recipients = append(m.recipients, w.recipient)
	}
	if len(m.recipients) == 0 {
		hint := "it names no recipient"
		if len(m.others) > 0 {
			hint = "it is encrypted for " + strings.Join(m.others, ", ") + " alone"
		}
		return m, contentErrorf("%s; add an age or OpenPGP recipient (sops rotate -i --add-age …)", hint)
	}
	return m, nil
}

func wrappedKeys(list any, name string) (out []wrapped) {
	entries, _ := list.([]any)
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		recipient, _ := entry[name].(string)
		enc, _ := entry["enc"].(string)
		if enc != "" {
			out = append(out, wrapped{recipient, enc})
		}
	}
	return out
}
