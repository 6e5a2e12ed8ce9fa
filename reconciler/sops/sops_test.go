package sops

import (
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The files of testdata were made by the real tool: age-keygen, gpg, and
// sops encrypt --encrypted-regex '^(data|stringData)$'.

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func secret(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return o
}

func keysOf(t *testing.T, names ...string) Keys {
	t.Helper()
	data := map[string][]byte{"readme": []byte("no key")}
	for _, name := range names {
		data[name] = read(t, name)
	}
	keys, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	keys.From = "Secret davit/keys"
	return keys
}

func TestDecrypt(t *testing.T) {
	for _, c := range []struct {
		file string
		keys []string
	}{
		{"age.yaml", []string{"keys.agekey"}},
		{"age.yaml", []string{"keys.agekey", "other.agekey", "keys.asc"}},
		{"pgp.yaml", []string{"keys.asc"}},
		{"both.yaml", []string{"keys.agekey"}},
		{"both.yaml", []string{"keys.asc"}},
		{"both.yaml", []string{"other.agekey", "keys.asc"}},
	} {
		o := secret(t, string(read(t, c.file)))
		o.SetNamespace("staging") // what rendering adds
		o.SetName("iris-token")
		if err := Decrypt(t.Context(), o, keysOf(t, c.keys...)); err != nil {
			t.Fatalf("%s with %v: %v", c.file, c.keys, err)
		}
		want := map[string]string{"token": "planted-4711-token", "empty": "", "lines": "first planted-4711-line\nsecond\n"}
		got, _, err := unstructured.NestedStringMap(o.Object, "stringData")
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s with %v: stringData %v, %v", c.file, c.keys, got, err)
		}
		blob, _, _ := unstructured.NestedString(o.Object, "data", "blob")
		if text, _ := base64.StdEncoding.DecodeString(blob); string(text) != "planted-4711-blob" {
			t.Errorf("%s with %v: data.blob %q", c.file, c.keys, blob)
		}
		if Encrypted(o) {
			t.Errorf("%s with %v: SOPS' field is still there", c.file, c.keys)
		}
	}
}

// documents are those of a file of testdata, as objects.
func documents(t *testing.T, name string) (all []*unstructured.Unstructured) {
	t.Helper()
	for _, text := range strings.Split(string(read(t, name)), "\n---\n") {
		all = append(all, secret(t, text))
	}
	return all
}

func TestDocuments(t *testing.T) {
	keys := keysOf(t, "keys.agekey")
	for _, name := range []string{"two.yaml", "two-rotated.yaml"} { // sops rotate: another data key
		all := documents(t, name)
		for i, want := range []map[string]string{{"token": "planted-4711-token", "number": "4711", "truth": "True"}, {"token": "planted-4711-other"}} {
			if err := Decrypt(t.Context(), all[i], keys); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, _, err := unstructured.NestedStringMap(all[i].Object, "stringData"); err != nil || !maps.Equal(got, want) {
				t.Errorf("%s: stringData %v, %v; want %v", name, got, err, want)
			}
		}
		if blob, _, _ := unstructured.NestedString(all[0].Object, "data", "blob"); blob != "/wAB" { // bytes that are no text
			t.Errorf("%s: data.blob %q", name, blob)
		}
	}
	// A value of before the rotation is nobody's any more.
	now, before := documents(t, "two-rotated.yaml")[0], documents(t, "two.yaml")[0]
	now.Object["stringData"] = before.Object["stringData"]
	if err := Decrypt(t.Context(), now, keys); !errors.As(err, new(*ContentError)) {
		t.Errorf("a value of another data key: %v", err)
	}
	// The documents of a file share it: the package's comment says so.
	now, other := documents(t, "two.yaml")[0], documents(t, "two.yaml")[1]
	now.Object["stringData"] = other.Object["stringData"]
	if err := Decrypt(t.Context(), now, keys); err != nil {
		t.Errorf("a value of another document of the file: %v", err)
	}
}

// TestNoKey tells where keys were looked for and whom it is encrypted for.
func TestNoKey(t *testing.T) {
	for _, c := range []struct {
		file string
		keys Keys
		want string
	}{
		{"age.yaml", Keys{}, "there is no key to decrypt it with (it is encrypted for age1xr00h3pl"},
		{"age.yaml", keysOf(t, "other.agekey"), "no key of Secret davit/keys decrypts it (it is encrypted for age1xr00h3pl"},
		{"age.yaml", keysOf(t, "keys.asc"), "no key of Secret davit/keys"},
		{"pgp.yaml", keysOf(t, "keys.agekey"), "(it is encrypted for 3329F8AAE9E93DE767DD11106347FFF63C52322F)"},
	} {
		o := secret(t, string(read(t, c.file)))
		err := Decrypt(t.Context(), o, c.keys)
		if !errors.As(err, new(*NoKeyError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.file, err, c.want)
		}
	}
}

// TestChanged refuses what was changed after it was encrypted, moved, or left in clear; no error holds a value.
func TestChanged(t *testing.T) {
	text := string(read(t, "age.yaml"))
	lines := strings.Split(text, "\n")
	at := func(prefix string) string {
		return lines[slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) })]
	}
	token, blob := at("    token: "), at("    blob: ")
	flipped := strings.Replace(token, "data:", "data:AAAA", 1)
	for name, c := range map[string]struct{ text, want string }{
		"a value":    {strings.Replace(text, token, flipped, 1), "stringData.token was changed after it was encrypted"},
		"a key":      {strings.Replace(text, token, strings.Replace(token, "token:", "other:", 1), 1), "stringData.other was changed"},
		"a field":    {strings.NewReplacer("stringData:", "data:", "\ndata:", "\nstringData:").Replace(text), " was changed after it was encrypted"},
		"in clear":   {strings.Replace(text, token, "    token: planted-4711-clear", 1), "stringData.token is in clear beside encrypted values"},
		"no text":    {strings.Replace(text, blob, "    blob: 4711", 1), "data.blob is no text"},
		"a kind":     {strings.Replace(text, "kind: Secret", "kind: ConfigMap", 1), "only Secrets are decrypted"},
		"recipients": {strings.Replace(text, "    age:\n", "    hc_vault:\n", 1), "it is encrypted for hc_vault alone; add an age or OpenPGP recipient"},
	} {
		if c.text == text {
			t.Fatalf("%s: nothing was changed", name)
		}
		err := Decrypt(t.Context(), secret(t, c.text), keysOf(t, "keys.agekey"))
		if !errors.As(err, new(*ContentError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: the error holds a value: %v", name, err)
		}
	}
}

// TestMixed: values that SOPS was told to leave in clear (by encrypted_regex here) are none of a Secret's.
func TestMixed(t *testing.T) {
	err := Decrypt(t.Context(), secret(t, string(read(t, "mixed.yaml"))), keysOf(t, "keys.agekey"))
	if !errors.As(err, new(*ContentError)) || !strings.Contains(err.Error(), "stringData.user_unencrypted is in clear beside encrypted values") {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, content, want string
	}{
		{"a.agekey", "AGE-SECRET-KEY-1PLANTED4711", "key a.agekey: it holds no age identities"},
		{"a.asc", "planted-4711", "key a.asc: it holds no armored OpenPGP key"},
		{"a.txt", "planted-4711", "it has no age identity (a name that ends in .agekey) and no OpenPGP key (.asc)"},
	} {
		_, err := Parse(map[string][]byte{c.name: []byte(c.content)})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	age, err := os.ReadFile("testdata/age.yaml")
	if err != nil {
		f.Fatal(err)
	}
	key, err := os.ReadFile("testdata/keys.agekey")
	if err != nil {
		f.Fatal(err)
	}
	keys, err := Parse(map[string][]byte{"k.agekey": key})
	if err != nil {
		f.Fatal(err)
	}
	two, err := os.ReadFile("testdata/two.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(age))
	f.Add(string(two))
	f.Add("kind: Secret\nsops: {age: [{enc: x}], key_groups: [1]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		o := map[string]any{}
		if yaml.Unmarshal([]byte(text), &o) == nil {
			_ = Decrypt(t.Context(), &unstructured.Unstructured{Object: o}, keys) // any error, no panic
		}
	})
}
