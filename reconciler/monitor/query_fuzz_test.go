package monitor

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// FuzzSeries: whatever a file says of a metric's labels, a query is about the pods of its namespace and nothing else.
func FuzzSeries(f *testing.F) {
	f.Add("model", `iris"}[1s]) or vector(1) #`, "ml", "iris-7d-x", int64(time.Minute))
	f.Add("code", "5..\\", "a\nb", "a|.*", int64(-1))
	f.Add("namespace", "other", "ml", "\xff\u2028", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, label, value, namespace, pod string, window int64) {
		if !labelName.MatchString(label) {
			return
		}
		s := scope{labels: map[string]string{"cluster": value}, namespace: namespace, pods: []string{pod, value}, window: time.Duration(window)}
		rest, ok := strings.CutPrefix(s.series("requests_total", map[string]string{label: value}), "requests_total{")
		last := map[string]string{}
		for i := 0; ok && !strings.HasPrefix(rest, "}"); i++ {
			if i > 0 {
				rest, ok = strings.CutPrefix(rest, ", ")
			}
			at := strings.IndexByte(rest, '"')
			if at < 0 {
				t.Fatalf("%q", rest)
			}
			quoted, err := strconv.QuotedPrefix(rest[at:])
			if err != nil {
				t.Fatal(err)
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			last[strings.TrimRight(rest[:at], "=~")], rest = text, rest[at+len(quoted):]
		}
		seconds, tail, _ := strings.Cut(strings.TrimPrefix(rest, "}["), "s]")
		if n, err := strconv.Atoi(seconds); err != nil || n < 1 || tail != "" || !ok {
			t.Errorf("it ends in %q", rest)
		}
		if last["namespace"] != namespace || last["cluster"] != value && label != "cluster" {
			t.Errorf("it is about %v", last)
		}
	})
}

// said answers every request with the same. It stands for a server that is no Prometheus, or lies.
type said []byte

func (said) URL(string, map[string]string) *url.URL { return &url.URL{} }

func (s said) Do(context.Context, *http.Request) (*http.Response, []byte, error) {
	return &http.Response{StatusCode: http.StatusOK}, s, nil
}

// FuzzAnswer: any answer is numbers or an error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"davit_pods":"iris-7d"},"value":[1790000000,"12.5"]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1790000000,"NaN"]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":null,"value":[1e400,"+Inf"]},null]}}`))
	f.Add([]byte(`{"status":"error","errorType":"execution","error":"x"}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"histogram":[1,{"count":"1","sum":"2","buckets":[[0,"a","b","c"]]}]}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var client api.Client = said(body)
		p := &Prometheus{}
		vector, err := p.vector(t.Context(), promv1.NewAPI(client), "up")
		if err != nil && vector != nil {
			t.Errorf("%v and %v", vector, err)
		}
		for _, sample := range vector {
			if sample == nil {
				t.Error("a sample that is none")
			}
		}
		a := &asking{p: p, server: promv1.NewAPI(client)}
		if n := at(a.ask(t.Context(), "up"), "iris-7d"); a.err != nil && !math.IsNaN(n) {
			t.Errorf("%v and %v", n, a.err)
		}
	})
}
