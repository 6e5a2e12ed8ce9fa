package image

import (
	"net/url"
	"regexp"
	"strings"
)

// objectRef is an object of a store, scheme://bucket/key, or the folder that a key with a slash at its end is. One version
// of an object has its name in a query, as the libraries that trainers use write it (s3fs, gcsfs and adlfs of fsspec):
//
//	s3://bucket/key?versionId=…
//	gs://bucket/key?generation=…
//	azblob://container/key?versionid=…
type objectRef struct{ scheme, bucket, key, version string }

// versionParameters are, by the scheme, what the stores themselves call the parameter.
var versionParameters = map[string]string{"s3": "versionId", "gs": "generation", "azblob": "versionid"}

var generation = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// parseObject takes an address apart; ok is false when it is not of the form. Keys are literal, as the providers' own tools
// take them: "#" and "%" are letters like others, and "?" is where the version begins.
func parseObject(source string) (o objectRef, ok bool) {
	scheme, rest, _ := strings.Cut(source, "://")
	o.scheme = strings.ToLower(scheme)
	rest, query, versioned := strings.Cut(rest, "?")
	o.bucket, o.key, ok = strings.Cut(rest, "/")
	parameter := versionParameters[o.scheme]
	if parameter == "" || !ok || o.bucket == "" || strings.ContainsAny(o.bucket, "@:%#") {
		return o, false
	}
	if !versioned {
		return o, true
	}
	version, ok := strings.CutPrefix(query, parameter+"=")
	o.version, _ = url.PathUnescape(version)
	if o.scheme == "gs" {
		ok = ok && generation.MatchString(o.version)
	}
	return o, ok && o.key != "" && !o.folder() && o.version != "" && versionQuery(o.version) == version
}

func (o objectRef) folder() bool { return o.key == "" || strings.HasSuffix(o.key, "/") }

// versionQuery is a version as it stands in an address, which has one spelling: stores' versions are letters, digits
// and punctuation that a query may have; "&" and "+" mean something else there.
func versionQuery(version string) string {
	return strings.NewReplacer("+", "%2B", "&", "%26").Replace(url.PathEscape(version))
}

// at is the address of one version of the object.
func (o objectRef) at(version string) string {
	address := o.scheme + "://" + o.bucket + "/" + o.key
	if version == "" {
		return address
	}
	return address + "?" + versionParameters[o.scheme] + "=" + versionQuery(version)
}

// withoutVersion is an object's address whichever version it names: what a Secret is granted for.
func withoutVersion(source string) string {
	if o, ok := parseObject(source); ok && o.version != "" {
		return o.at("")
	}
	return source
}
