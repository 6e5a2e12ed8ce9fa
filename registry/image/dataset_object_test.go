package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// bucketS3 makes a bucket, and a function that puts objects there.
func bucketS3(t *testing.T, secret Secret, name string) (client *s3.Client, write func(key, text string, sum types.ChecksumAlgorithm)) {
	t.Helper()
	bucket, err := secret.s3Bucket(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if !bucket.As(&client) {
		t.Fatal("no client of S3")
	}
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return client, func(key, text string, sum types.ChecksumAlgorithm) {
		t.Helper()
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader(text), ChecksumAlgorithm: sum})
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestDatasetS3 resolves datasets in a server that keeps versions of one bucket and none of another.
func TestDatasetS3(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "versions/.keep", "")
	put(t, dir, "buckets/.keep", "")
	at := serve(t, func(port string) []string {
		return []string{"versitygw", "--access", "davit", "--secret", "pl4nted-s3", "--port", "127.0.0.1:" + port,
			"posix", "--versioning-dir", filepath.Join(dir, "versions"), filepath.Join(dir, "buckets")}
	})
	secret := Secret{"AWS_ACCESS_KEY_ID": "davit", "AWS_SECRET_ACCESS_KEY": "pl4nted-s3", "AWS_ENDPOINT_URL": "http://" + at}
	access := secretOf("s3://", secret)
	b := newBuilder(t, Config{})

	t.Run("versions", func(t *testing.T) {
		client, write := bucketS3(t, secret, "kept")
		name, key := "kept", "a b/ü#1%20&+.csv"
		write("before.csv", "before", "")
		on := types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}
		if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &name, VersioningConfiguration: &on}); err != nil {
			t.Fatal(err)
		}
		if got := resolve(t, b, "s3://kept/before.csv", access); got.URI != "s3://kept/before.csv" || got.SHA256 != sha("before") {
			t.Errorf("%+v", got) // it has no version
		}
		unresolved(t, b, "s3://kept/before.csv?versionId=null", access, true, "which the next writer replaces; leave ?versionId= out")
		uri := "s3://kept/" + key
		exact := func(uri string) Access { // granted for the object, of whatever version
			return func(_ context.Context, source string) (Secret, error) {
				if source != uri {
					return nil, fmt.Errorf("%s is not %s", source, uri)
				}
				return secret, nil
			}
		}
		write(key, "one", "")
		first := resolve(t, b, uri, exact(uri))
		write(key, "two", types.ChecksumAlgorithmSha256)
		second := resolve(t, b, uri, exact(uri))
		if !strings.HasPrefix(first.URI, uri+"?versionId=") || first.SHA256 != "" || second.URI == first.URI || second.SHA256 != sha("two") {
			t.Errorf("%+v, then %+v", first, second)
		}
		if one, two := contentAt(t, b, first.URI, access), contentAt(t, b, second.URI, access); one != "one" || two != "two" {
			t.Errorf("read %q and %q", one, two)
		}
		if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &name, Key: &key}); err != nil {
			t.Fatal(err)
		}
		unresolved(t, b, uri, access, true, "source "+uri+" does not exist; correct the address")
		if text := contentAt(t, b, first.URI, access); text != "one" {
			t.Errorf("read %q", text)
		}
		unresolved(t, b, uri+"?versionId=01JJJJJJJJJJJJJJJJJJJJJJJJ", access, true, "correct the address")
	})
	t.Run("no versions", func(t *testing.T) {
		_, write := bucketS3(t, secret, "flat")
		text := strings.Repeat("0123456789abcdef", 200_000)
		write("data.csv", text, "")
		got := resolve(t, b, "s3://flat/data.csv", access)
		if got.URI != "s3://flat/data.csv" || got.SHA256 != sha(text) {
			t.Errorf("%+v", got)
		}
		write("data.csv", text+"1", "")
		if got = resolve(t, b, "s3://flat/data.csv", access); got.SHA256 != sha(text+"1") || sha(contentAt(t, b, got.URI, access)) != got.SHA256 {
			t.Errorf("%+v", got)
		}
		write("empty", "", "")
		unresolved(t, b, "s3://flat/empty", access, true, "is empty")
		unresolved(t, b, "s3://flat/none", access, true, "source s3://flat/none does not exist")
		unresolved(t, b, "s3://nowhere/none", access, true, "source s3://nowhere/none does not exist")
		wrong := maps.Clone(secret)
		wrong["AWS_SECRET_ACCESS_KEY"] = "pl4nted-s3-wrong"
		unresolved(t, b, "s3://flat/data.csv", secretOf("s3://", wrong), false, "403", "credentials")
		unresolved(t, b, "s3://flat/data.csv", secretOf("s3://", Secret{"AWS_ACCESS_KEY_ID": "davit"}), false, "no key AWS_SECRET_ACCESS_KEY")
	})
	t.Run("breaks", func(t *testing.T) { // in the middle, and goes on
		_, write := bucketS3(t, secret, "broken")
		text := strings.Repeat("0123456789abcdef", 20_000)
		write("data.csv", text, "")
		broken, resumed := breaker(t, at, 2)
		bad := maps.Clone(secret)
		bad["AWS_ENDPOINT_URL"] = "http://" + broken
		if got := resolve(t, b, "s3://broken/data.csv", secretOf("s3://", bad)); got.SHA256 != sha(text) || resumed.Load() == 0 {
			t.Errorf("%+v, %d resumed", got, resumed.Load())
		}
	})
	t.Run("what S3 knows", func(t *testing.T) {
		_, write := bucketS3(t, secret, "summed")
		text := strings.Repeat("w", 4<<20)
		write("data.bin", text, types.ChecksumAlgorithmSha256)
		near, sent := metered(t, at)
		told := maps.Clone(secret)
		told["AWS_ENDPOINT_URL"] = "http://" + near
		if got := resolve(t, b, "s3://summed/data.bin", secretOf("s3://", told)); got.SHA256 != sha(text) || got.URI != "s3://summed/data.bin" || sent.Load() > 1<<20 {
			t.Errorf("%+v, %d bytes were sent", got, sent.Load())
		}
	})
	t.Run("a folder", func(t *testing.T) {
		_, write := bucketS3(t, secret, "many")
		all := map[string]string{"sub/ü#1 %20&.csv": "odd", "empty": ""}
		for i := range 1100 {
			all[fmt.Sprintf("%d/part-%04d", i%3, i)] = fmt.Sprint("part ", i)
		}
		var g errgroup.Group
		g.SetLimit(8)
		for key, text := range all {
			g.Go(func() error { write("train/"+key, text, ""); return nil })
		}
		g.Wait()
		write("training/other", "not below", "")
		tag := func(key string) string { return md5Of(all[key]) }
		want := listing(all, tag)
		if got := resolve(t, b, "s3://many/train/", access); got.URI != "s3://many/train/" || got.SHA256 != want {
			t.Errorf("%+v, want %s", got, want)
		}
		write("train/2/part-1000x", "the last page", "")
		all["2/part-1000x"] = "the last page"
		if got := resolve(t, b, "s3://many/train/", access); got.SHA256 != listing(all, tag) || got.SHA256 == want {
			t.Errorf("%+v with one more, before %s", got, want)
		}
		if got := resolve(t, b, "s3://many/", access); got.SHA256 == want {
			t.Errorf("all of the bucket: %+v", got)
		}
		unresolved(t, b, "s3://many/trai/", access, true, "has no objects in it; correct the address")
		unresolved(t, b, "s3://nowhere/trai/", access, true, "does not exist")
		old := maxListed
		maxListed = 1000
		unresolved(t, b, "s3://many/train/", access, true, "more than 1000 objects", "manifest")
		maxListed = old
	})
}

// TestDatasetGCS resolves datasets by their generation.
func TestDatasetGCS(t *testing.T) {
	at := "http://" + serve(t, func(port string) []string {
		return []string{"fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory", "-public-host", "127.0.0.1:" + port}
	})
	post := func(path, body string) (generation string) {
		t.Helper()
		resp, err := http.Post(at+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var object gcsObject
		if err := json.NewDecoder(resp.Body).Decode(&object); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
		return object.Generation
	}
	write := func(bucket, key, text string) string {
		t.Helper()
		return post("/upload/storage/v1/b/"+bucket+"/o?uploadType=media&name="+url.QueryEscape(key), text)
	}
	post("/storage/v1/b", `{"name": "kept", "versioning": {"enabled": true}}`)
	post("/storage/v1/b", `{"name": "flat"}`)
	b := newBuilder(t, Config{GCSEndpoint: at})
	for _, bucket := range []string{"kept", "flat"} {
		uri := "gs://" + bucket + "/a b/ü#1%20&+.csv"
		g1 := write(bucket, "a b/ü#1%20&+.csv", "one")
		first := resolve(t, b, uri, nil)
		if first.URI != uri+"?generation="+g1 || contentAt(t, b, first.URI, nil) != "one" {
			t.Errorf("%+v, want generation %s", first, g1)
		}
		g2 := write(bucket, "a b/ü#1%20&+.csv", "two")
		second := resolve(t, b, uri, nil)
		if g1 == g2 || second.URI != uri+"?generation="+g2 || contentAt(t, b, second.URI, nil) != "two" {
			t.Errorf("%+v, want generation %s", second, g2)
		}
		if bucket == "kept" {
			if got := contentAt(t, b, first.URI, nil); got != "one" {
				t.Errorf("read %q", got)
			}
		} else { // never the new content under the old name
			unresolved(t, b, first.URI, nil, true, "does not exist")
		}
	}
	write("flat", "empty", "")
	unresolved(t, b, "gs://flat/empty", nil, true, "is empty")
	unresolved(t, b, "gs://flat/none", nil, true, "source gs://flat/none does not exist")
	unresolved(t, b, "gs://flat/none/", nil, true, "has no objects in it")
	all, tags := map[string]string{}, map[string]string{}
	for i := range 1100 {
		key := fmt.Sprintf("part-%04d", i)
		all[key], tags[key] = fmt.Sprint("part ", i), write("flat", "train/"+key, fmt.Sprint("part ", i))
	}
	tag := func(key string) string { return tags[key] }
	want := listing(all, tag)
	if got := resolve(t, b, "gs://flat/train/", nil); got.SHA256 != want {
		t.Errorf("%+v, want %s", got, want)
	}
	tags["part-1099"] = write("flat", "train/part-1099", all["part-1099"])
	if got := resolve(t, b, "gs://flat/train/", nil); got.SHA256 != listing(all, tag) || got.SHA256 == want {
		t.Errorf("%+v with one written anew, before %s", got, want)
	}
}

// TestDatasetAzure resolves datasets in Azurite, which keeps no versions; a server before it says that it does.
func TestDatasetAzure(t *testing.T) {
	at := azurite(t)
	secret := Secret{
		"AZURE_STORAGE_ACCOUNT": azuriteAccount, "AZURE_STORAGE_KEY": azuriteKey, "AZURE_STORAGE_DOMAIN": at, "AZURE_STORAGE_PROTOCOL": "http",
	}
	client, err := secret.azureClient("http://" + at + "/" + azuriteAccount + "/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	write := func(key, text string) {
		t.Helper()
		if _, err := client.NewBlockBlobClient(key).UploadBuffer(t.Context(), []byte(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	access := secretOf("azblob://data/", secret)
	b := newBuilder(t, Config{})
	for _, text := range []string{"one", strings.Repeat("two", 500_000)} {
		write("a b/ü#1%20&+.csv", text)
		got := resolve(t, b, "azblob://data/a b/ü#1%20&+.csv", access)
		if got.SHA256 != sha(text) || sha(contentAt(t, b, got.URI, access)) != got.SHA256 {
			t.Errorf("%+v", got)
		}
	}
	unresolved(t, b, "azblob://data/none", access, true, "source azblob://data/none does not exist")
	unresolved(t, b, "azblob://data/none/", access, true, "has no objects in it")
	wrong := maps.Clone(secret)
	wrong["AZURE_STORAGE_KEY"] = "d3Jvbmc="
	unresolved(t, b, "azblob://data/x", secretOf("azblob://data/", wrong), false, "403 Auth", "it takes credentials")

	seen := map[string]bool{}
	for _, text := range []string{"one", "two", "two"} { // written anew is new: an ETag is not made of the content
		write("train/part", text)
		seen[resolve(t, b, "azblob://data/train/", access).SHA256] = true
	}
	if len(seen) != 3 {
		t.Errorf("listings %v", seen)
	}

	before, after := strings.Repeat("before ", 30_000), strings.Repeat("after_ ", 30_000)
	write("moving", before)
	var once sync.Once
	moving := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: at}) },
		ModifyResponse: func(resp *http.Response) (err error) { // the first reading breaks off, and then the content is another
			if resp.Request.Method == http.MethodGet {
				once.Do(func() {
					var data []byte
					data, err = io.ReadAll(resp.Body)
					resp.Body = io.NopCloser(bytes.NewReader(data[:len(data)/2]))
					write("moving", after)
				})
			}
			return err
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	moving.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(moving.Close)
	near := maps.Clone(secret)
	near["AZURE_STORAGE_DOMAIN"] = strings.TrimPrefix(moving.URL, "http://")
	if got := resolve(t, b, "azblob://data/moving", secretOf("azblob://data/", near)); got.SHA256 != sha(after) {
		t.Errorf("%+v is neither before (%s) nor after (%s)", got, sha(before), sha(after))
	}

	var asked sync.Map
	target := &url.URL{Scheme: "http", Host: at}
	versions := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(resp *http.Response) error {
			asked.Store(resp.Request.Method+" "+resp.Request.URL.Query().Get("versionid"), true)
			resp.Header.Set("X-Ms-Version-Id", "2026-01-02T03:04:05.0000000Z")
			return nil
		},
	})
	t.Cleanup(versions.Close)
	kept := maps.Clone(secret)
	kept["AZURE_STORAGE_DOMAIN"] = strings.TrimPrefix(versions.URL, "http://")
	granted := secretOf("azblob://data/", kept)
	got := resolve(t, b, "azblob://data/train/part", granted)
	if got.URI != "azblob://data/train/part?versionid=2026-01-02T03:04:05.0000000Z" || got.SHA256 != "" {
		t.Errorf("%+v", got)
	}
	if text := contentAt(t, b, got.URI, granted); text != "two" {
		t.Errorf("read %q", text)
	}
	if _, ok := asked.Load("GET 2026-01-02T03:04:05.0000000Z"); !ok {
		t.Error("the version was not asked for")
	}
}

// TestDatasetHostileStore: a store that never ends, or never answers, has an end.
func TestDatasetHostileStore(t *testing.T) {
	var pages atomic.Int64
	at, answer := webServer(t)
	list := func(token func() string, key string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprintf(w, `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken><Contents><Key>%s</Key><Size>1</Size><ETag>"%s"</ETag></Contents></ListBucketResult>`,
				token(), key, strings.Repeat("e", 32))
		}
	}
	oldPages, oldAnswer, oldLimit := maxPages, answerLimit, datasetLimit
	t.Cleanup(func() { maxPages, answerLimit, datasetLimit = oldPages, oldAnswer, oldLimit })
	secret := Secret{"AWS_ACCESS_KEY_ID": "davit", "AWS_SECRET_ACCESS_KEY": "pl4nted-s3", "AWS_ENDPOINT_URL": at}
	b := newBuilder(t, Config{})
	access := secretOf("s3://data/", secret)

	answer(list(func() string { return "same" }, "train/x"))
	unresolved(t, b, "s3://data/train/", access, false, "the same page again and again")
	maxPages = 50
	answer(list(func() string { return fmt.Sprint(pages.Add(1)) }, "train/x"))
	unresolved(t, b, "s3://data/train/", access, false, "more than 50 pages")
	answer(list(func() string { return "" }, "train/x"))
	unresolved(t, b, "s3://data/train/", access, false, "not how to ask for them")
	answer(list(func() string { return "1" }, "other/x"))
	unresolved(t, b, "s3://data/train/", access, false, "not below it")

	answerLimit = 50 * time.Millisecond
	answer(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	unresolved(t, b, "s3://data/train", access, false, "reading s3://data/train: no answer in 50ms")
	datasetLimit, answerLimit = 50*time.Millisecond, oldAnswer
	unresolved(t, b, "s3://data/train", access, false, "could not be resolved in 50ms", "write its sha256")

	datasetLimit = oldLimit
	body := bytes.Repeat([]byte("x"), 1<<20)
	var heads atomic.Int64
	answer(func(w http.ResponseWriter, r *http.Request) { // another content at each look, and every reading breaks off
		if r.Method == http.MethodHead {
			heads.Add(1)
		}
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, heads.Load()))
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		switch {
		case r.Header.Get("Range") != "":
			w.Header().Del("Content-Length")
			w.WriteHeader(http.StatusPreconditionFailed)
		case r.Method == http.MethodGet:
			w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		}
	})
	unresolved(t, b, "s3://data/train", access, false, "changed while it was read, 3 times")

	before, after := strings.Repeat("before ", 100_000), strings.Repeat("after_ ", 100_000)
	var gets atomic.Int64
	answer(func(w http.ResponseWriter, r *http.Request) { // changes when its first reading has broken off
		text, etag := before, `"1"`
		if gets.Load() > 0 {
			text, etag = after, `"2"`
		}
		w.Header().Set("ETag", etag)
		if r.Method == http.MethodGet && gets.Add(1) == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			io.WriteString(w, text[:len(text)/2])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text)) // keeps to If-Match
	})
	if got := resolve(t, b, "s3://data/train", access); got.SHA256 != sha(after) {
		t.Errorf("%+v is neither before (%s) nor after (%s)", got, sha(before), sha(after))
	}

	answer(func(w http.ResponseWriter, r *http.Request) { // whichever version it is asked for
		w.Header().Set("X-Amz-Version-Id", "newest")
		w.Header().Set("Content-Length", "5")
	})
	unresolved(t, b, "s3://data/train?versionId=oldest", access, false, `answers with the version "newest"`)
	answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Version-Id", "null") // of a bucket whose versions are suspended
		io.WriteString(w, "12345")
	})
	if got := resolve(t, b, "s3://data/train", access); got.URI != "s3://data/train" || got.SHA256 != sha("12345") {
		t.Errorf("%+v", got)
	}
	answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Version-Id", strings.Repeat("v", 10_000))
		w.Header().Set("Content-Length", "5")
	})
	unresolved(t, b, "s3://data/train", access, false, "by 10000 characters")
	answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Version-Id", `a b&sig=x?#\n`)
		w.Header().Set("Content-Length", "5")
	})
	if got := resolve(t, b, "s3://data/train", access); got.URI != "s3://data/train?versionId=a%20b%26sig=x%3F%23%5Cn" {
		t.Errorf("%+v", got)
	}
}
