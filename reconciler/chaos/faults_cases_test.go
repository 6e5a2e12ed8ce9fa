package chaos_test

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/davit-dev/davit/reconciler/chaos"
)

func watches(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }
func writes(r *http.Request) bool  { return r.Method != http.MethodGet }

// status is how an API server refuses.
func status(code, reason, message string) string {
	return `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"` + reason + `","message":"` + message + `","code":` + code + `}`
}

const isJSON = "application/json"

// faultCases are the faults that a proxy makes, by whose they are.
var faultCases = map[string][]faultCase{
	"API server": {
		{name: "429", at: faultyAPI, hits: 5, waits: true, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusTooManyRequests, status("429", "TooManyRequests", "too many requests"), "Content-Type", isJSON, "Retry-After", "1")
		}},
		{name: "500", at: faultyAPI, hits: 5, waits: true, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusInternalServerError, status("500", "InternalError", "etcdserver: leader changed"), "Content-Type", isJSON)
		}},
		{name: "503 without words", more: true, at: faultyAPI, hits: 5, waits: true, fault: func() chaos.Fault { return chaos.Answer(http.StatusServiceUnavailable, "") }},
		{name: "401", at: faultyAPI, hits: 5, waits: true, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusUnauthorized, status("401", "Unauthorized", "Unauthorized"), "Content-Type", isJSON)
		}},
		{name: "no answer", at: faultyAPI, hits: 2, waits: true, fault: chaos.Silent},
		{name: "down", at: faultyAPI, hits: 5, waits: true, begin: func(w *faultyWorld) { w.api.Down() }},
		{name: "slow", at: faultyAPI, hits: 5, fault: func() chaos.Fault { return chaos.Slow(700 * time.Millisecond) }},
		{name: "answers to writes lost", at: faultyAPI, hits: 3, fault: func() chaos.Fault { return chaos.Unheard().Of(writes) }},
	},
	"API server's watches": {
		{name: "end", at: faultyAPI, hits: 5, fault: func() chaos.Fault { return chaos.Answer(http.StatusOK, "", "Content-Type", isJSON).Of(watches) }, begin: broken},
		{name: "410", at: faultyAPI, hits: 5, begin: broken, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusOK, `{"type":"ERROR","object":`+status("410", "Expired", "too old resource version")+"}\n", "Content-Type", isJSON).Of(watches)
		}},
		{name: "say nothing", at: faultyAPI, hits: 5, begin: broken, fault: func() chaos.Fault { return chaos.Silent().Of(watches) }},
		{name: "cut", at: faultyAPI, hits: 5, begin: broken, fault: func() chaos.Fault { return chaos.CutAnswer(700).Of(watches) }},
		{name: "no words of ours", more: true, at: faultyAPI, hits: 5, begin: broken, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusOK, "<html>sign in</html>", "Content-Type", "text/html").Of(watches)
		}},
	},
	"Git server": {
		{name: "down", at: faultyGit, hits: 3, waits: true, begin: func(w *faultyWorld) { w.git.Down() }},
		{name: "500", at: faultyGit, hits: 2, waits: true, fault: func() chaos.Fault { return chaos.Answer(http.StatusInternalServerError, "") }},
		{name: "401", at: faultyGit, hits: 2, waits: true, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusUnauthorized, "", "WWW-Authenticate", `Basic realm="git"`)
		}},
		{name: "a page to sign in", at: faultyGit, hits: 2, waits: true, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusOK, "<html>sign in</html>", "Content-Type", "text/html")
		}},
		{name: "slow", at: faultyGit, hits: 3, fault: func() chaos.Fault { return chaos.Slow(700 * time.Millisecond) }},
		{name: "pack cut", at: faultyGit, hits: 2, waits: true, fault: func() chaos.Fault { return chaos.CutAnswer(300).Of(fetches) }},
		{name: "pack damaged", at: faultyGit, hits: 2, waits: true, fault: func() chaos.Fault { return chaos.Change(flipped).Of(fetches) }},
		{name: "answers to pushes lost", at: faultyGit, hits: 1, noted: true, fault: func() chaos.Fault { return chaos.Unheard().Of(pushes) }},
		{name: "pushes refused", at: faultyGit, hits: 1, noted: true, fault: func() chaos.Fault { return chaos.Answer(http.StatusForbidden, "read-only").Of(pushes) }},
	},
	"Git": {
		namesCase("the server's name does not exist", dnsmessage.RCodeNameError),
		namesCase("the server's name is not resolved", dnsmessage.RCodeServerFailure),
		{name: "history rewritten", at: faultyGit, hits: 1, waits: true, met: rewritten, begin: rewrite, end: restore},
		{name: "a commit of 5,000 files and 16 MiB", at: faultyGit, begin: huge},
		clockCase("davit's clock a year ahead", 365*24*time.Hour),
		clockCase("davit's clock a year behind", -365*24*time.Hour),
	},
	"OCI registry": {
		{name: "500", at: faultyOCI, hits: 3, waits: true, fault: func() chaos.Fault { return chaos.Answer(http.StatusInternalServerError, "") }},
		{name: "429", at: faultyOCI, hits: 3, waits: true, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusTooManyRequests, "", "Retry-After", "1")
		}},
		{name: "401", at: faultyOCI, hits: 2, waits: true, fault: func() chaos.Fault {
			return chaos.Answer(http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED"}]}`, "WWW-Authenticate", `Basic realm="registry"`, "Content-Type", isJSON)
		}},
		{name: "down", at: faultyOCI, hits: 3, waits: true, begin: func(w *faultyWorld) { w.oci.Down() }},
		{name: "disk full", at: faultyOCI, hits: 2, waits: true, begin: full, end: func(w *faultyWorld) { w.limit("unlimited") },
			fault: func() chaos.Fault { return chaos.Slow(0).Of(uploads) }},
		{name: "cut mid-upload", at: faultyOCI, hits: 2, waits: true, fault: func() chaos.Fault { return chaos.CutRequest(40).Of(uploads) }},
		{name: "answers to uploads lost", at: faultyOCI, hits: 2, fault: func() chaos.Fault { return chaos.Unheard().Of(writes) }},
		{name: "wrong bytes", at: faultyOCI, hits: 1, fault: func() chaos.Fault {
			return chaos.Change(flipped).Of(func(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Path != "/v2/" })
		}},
		{name: "wrong digest of a name", at: faultyOCI, hits: 1, fault: func() chaos.Fault { return wrongDigest("/manifests/f") }},
		{name: "wrong digest of content", at: faultyOCI, hits: 1, waits: true, fault: func() chaos.Fault { return wrongDigest("/manifests/v") }},
	},
}

func broken(w *faultyWorld) { w.api.Break() }

// wrongDigest has tags be of an image that is not there.
func wrongDigest(tags string) chaos.Fault {
	return chaos.Answer(http.StatusOK, "", "Docker-Content-Digest", "sha256:"+strings.Repeat("ab", 32), "Content-Length", "0", "Content-Type", "application/vnd.oci.image.manifest.v1+json").
		Of(func(r *http.Request) bool { return r.Method == http.MethodHead && strings.Contains(r.URL.Path, tags) })
}

// flipped changes one bit in the middle.
func flipped(data []byte) []byte {
	data = slices.Clone(data)
	if len(data) > 0 {
		data[len(data)/2] ^= 4
	}
	return data
}

func pushes(r *http.Request) bool  { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }
func fetches(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-upload-pack") }
func uploads(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/blobs/uploads/") && r.Method != http.MethodPost
}
