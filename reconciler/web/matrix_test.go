package web_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/web"
	"github.com/davit-dev/davit/registry"
)

// person is somebody who comes to the page, with what Kubernetes lets them do in the namespace of each environment.
type person struct {
	name   string // "" for nobody
	from   string // the address that they come from
	groups string
	may    map[string][]web.Verb // by environment
}

// The proxy, and another address from which somebody sends the proxy's headers.
const (
	theProxy = "127.0.0.2"
	anyone   = "127.0.0.3"
)

var persons = map[string]person{
	"nobody":                   {"", theProxy, "", nil},
	"a name not by the proxy":  {"matrix-owner", anyone, "", nil},
	"a group not by the proxy": {"matrix-stranger", anyone, "matrix-owners", nil},
	"a name of Kubernetes":     {"system:admin", theProxy, "", nil},
	"a stranger":               {"matrix-stranger", theProxy, "", map[string][]web.Verb{}},
	"a group of Kubernetes":    {"matrix-stranger", theProxy, "system:masters", map[string][]web.Verb{}},
	"a reader of staging":      {"matrix-reader", theProxy, "", map[string][]web.Verb{"staging": {web.See}}},
	"a viewer of staging":      {"matrix-viewer", theProxy, "", map[string][]web.Verb{"staging": {web.See, web.Logs}}},
	"a reader of both":         {"matrix-auditor", theProxy, "", map[string][]web.Verb{"staging": {web.See}, "production": {web.See}}},
	"who may propose":          {"matrix-promoter", theProxy, "", map[string][]web.Verb{"staging": {web.See}, "production": {web.See, web.Propose}}},
	"who may suspend":          {"matrix-operator", theProxy, "", map[string][]web.Verb{"production": {web.See, web.Suspend}}},
	"who may do but not see":   {"matrix-blind", theProxy, "", map[string][]web.Verb{"production": {web.Logs, web.Propose, web.Suspend}}},
	"an owner":                 {"matrix-owner", theProxy, "", all},
	"one of the owners":        {"matrix-stranger", theProxy, "matrix-owners", all},
}

var all = map[string][]web.Verb{
	"staging": {web.See, web.Logs, web.Propose, web.Suspend}, "production": {web.See, web.Logs, web.Propose, web.Suspend},
}

// place is what a route takes: some rights in an environment, or that whoever comes is known, or nothing.
type place struct {
	path        string // with the run's name for {run}
	environment string // "" where seeing any is enough, and what is told goes by which
	takes       []web.Verb
	open        bool // to everybody
	known       bool // to whoever is known
	leads       bool // to another place, who sees anything
}

// places has a row, or several, for each route.
func places() map[string][]place {
	to := map[string][]place{
		"GET /{$}":                                  {{path: "/", leads: true}},
		"GET /-/static/{file}":                      {{path: "/-/static/page.css", open: true}},
		"GET /api/v1/openapi.json":                  {{path: "/api/v1/openapi.json", known: true}},
		"GET /api/v1/registries":                    {{path: "/api/v1/registries", known: true}},
		"GET /api/v1/registries/{registry}/changes": {{path: "/api/v1/registries/models/changes"}},
		"GET /api/v1/registries/{registry}/runs/{run}/logs": {
			{path: "/api/v1/registries/models/runs/{run}/logs", environment: "staging", takes: []web.Verb{web.See, web.Logs}},
		},
	}
	both := func(pattern, path string, of place) {
		for _, under := range [][2]string{{"/{registry}", "/models"}, {"/api/v1/registries/{registry}", "/api/v1/registries/models"}} {
			if pattern == "" && under[0] != "/{registry}" {
				pattern, path = "/releases", "/releases"
			}
			at := of
			at.path = under[1] + path
			to["GET "+under[0]+pattern] = append(to["GET "+under[0]+pattern], at)
		}
	}
	for _, view := range []string{"", "/timeline", "/models", "/models/{model}", "/trainings", "/gpus"} {
		both(view, strings.ReplaceAll(view, "{model}", "iris"), place{})
	}
	both("/trainings/{model}/{training}/{run}", "/trainings/iris/softmax/{run}", place{environment: "staging", takes: []web.Verb{web.See}})
	for _, environment := range []string{"staging", "production"} {
		of := place{environment: environment, takes: []web.Verb{web.See}}
		both("/releases/{environment}/{release}", "/releases/"+environment+"/iris", of)
		both("/releases/{environment}/{release}/diff", "/releases/"+environment+"/iris/diff", of)
		for act, verb := range map[string]web.Verb{"promote": web.Propose, "rollback": web.Propose, "suspend": web.Suspend, "resume": web.Suspend} {
			for _, under := range [][2]string{{"/{registry}", "/models"}, {"/api/v1/registries/{registry}", "/api/v1/registries/models"}} {
				pattern := "POST " + under[0] + "/releases/{environment}/{release}/" + act
				to[pattern] = append(to[pattern], place{
					path: under[1] + "/releases/" + environment + "/iris/" + act, environment: environment, takes: []web.Verb{web.See, verb},
				})
			}
		}
	}
	return to
}

func (p person) sees() bool {
	return slices.Contains(p.may["staging"], web.See) || slices.Contains(p.may["production"], web.See)
}

// answer is the status that a person gets.
func (p person) answer(method string, at place) int {
	may := func(verb web.Verb) bool { return slices.Contains(p.may[at.environment], verb) }
	switch {
	case at.open:
		return http.StatusOK
	case p.may == nil:
		return http.StatusUnauthorized
	case at.leads && p.sees():
		return http.StatusFound
	case at.leads, at.known:
		return http.StatusOK
	case !p.sees():
		return http.StatusNotFound
	case at.environment == "" || !slices.ContainsFunc(at.takes, func(v web.Verb) bool { return !may(v) }):
		return http.StatusOK
	case may(web.See) && method == http.MethodPost:
		return http.StatusForbidden
	}
	return http.StatusNotFound
}

// TestWhoMayWhat asks each place of the page for each person, by what the API server says of them; each place has a row here.
// What is told is of environments that they may see, and of a registry only to who sees one of its environments.
func TestWhoMayWhat(t *testing.T) {
	w := look(t)
	run := w.run(t)
	w.bind(t)
	done := &noted{n: map[string]int{}}
	page, url := w.behindProxy(t, done)
	rows := places()
	for _, pattern := range page.Patterns() {
		if len(rows[pattern]) == 0 {
			t.Errorf("%s has no row: who may?", pattern)
		}
	}
	if len(rows) != len(page.Patterns()) {
		t.Errorf("%d rows for %d places", len(rows), len(page.Patterns()))
	}
	var told sync.Map // patterns that tell somebody of production
	t.Run("persons", func(t *testing.T) {
		for who, p := range persons {
			t.Run(who, func(t *testing.T) {
				if p.may != nil { // else it comes under another's name, and what that one has done is not its doing
					t.Parallel()
				}
				for pattern, row := range rows {
					method, _, _ := strings.Cut(pattern, " ")
					for _, at := range row {
						if p.comes(t, method, url, strings.ReplaceAll(at.path, "{run}", run), at, done) {
							told.Store(pattern, true)
						}
					}
				}
			})
		}
	})
	for _, view := range mustTell {
		if _, does := told.Load("GET /{registry}" + view); !does {
			t.Errorf("%s tells nobody of production", view)
		}
	}
}

// comes asks one place, and holds the answer to what the person may; it says whether that told of production.
func (p person) comes(t *testing.T, method, url, path string, at place, done *noted) (production bool) {
	t.Helper()
	before := done.count(p)
	status, body := p.asks(t, method, url+path)
	if want := p.answer(method, at); status != want {
		t.Errorf("%s %s: %d, want %d: %.200s", method, path, status, want, body)
	}
	if acted := done.count(p) > before; acted != (method == http.MethodPost && status == http.StatusOK) {
		t.Errorf("%s %s: %d, and it was done: %v", method, path, status, acted)
	}
	if at.open || status != http.StatusOK {
		return false
	}
	if !p.sees() && (strings.Contains(body, `["models"`) || strings.Contains(body, `"/models`)) {
		t.Errorf("%s %s tells of the registry: %.300s", method, path, body)
	}
	for _, environment := range []string{"staging", "production"} {
		if i := strings.Index(body, environment); i >= 0 && !slices.Contains(p.may[environment], web.See) {
			t.Errorf("%s %s tells of %s: …%s…", method, path, environment, body[max(0, i-120):min(len(body), i+120)])
		}
	}
	return strings.Contains(body, "production")
}

// mustTell are the views that tell of environments: if they tell nobody of production, the test sees nothing.
var mustTell = []string{"", "/timeline", "/models", "/models/{model}", "/gpus", "/releases/{environment}/{release}", "/releases/{environment}/{release}/diff"}

// asks gets an answer, of a stream its beginning. A page of another site can't have an act done.
func (p person) asks(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	send := func(origin string) *http.Response {
		var form io.Reader
		if method == http.MethodPost {
			form = strings.NewReader("from=staging&version=v1&reason=why")
		}
		req, err := http.NewRequestWithContext(ctx, method, url, form)
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if p.name != "" {
			req.Header.Set("X-User", p.name)
		}
		if p.groups != "" {
			req.Header.Set("X-Groups", p.groups)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		answer, err := clientFrom(p.from).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if method == http.MethodPost {
		answer := send("https://evil.example.com")
		if answer.Body.Close(); answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s from another site: %d", url, answer.StatusCode)
		}
	}
	answer := send("")
	defer answer.Body.Close()
	if strings.HasSuffix(url, "/changes") || strings.HasSuffix(url, "/logs") {
		first := make([]byte, 4<<10)
		n, _ := answer.Body.Read(first)
		return answer.StatusCode, string(first[:n])
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return answer.StatusCode, string(text)
}

// clients send from an address each, and follow no redirect.
var clients sync.Map

func clientFrom(address string) *http.Client {
	c, _ := clients.LoadOrStore(address, &http.Client{
		Transport:     &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	return c.(*http.Client)
}

// behindProxy serves the world's fleet as deploy/page does behind a proxy.
func (w *world) behindProxy(t *testing.T, done web.Actions) (*web.Page, string) {
	t.Helper()
	access, err := web.NewProxyAccess(web.ProxyConfig{
		From: []netip.Prefix{netip.MustParsePrefix(theProxy + "/32")}, User: "X-User", Groups: "X-Groups",
		Rights: func(ctx context.Context, u *web.User, verb, resource, registry, environment string) (bool, error) {
			return w.data.Allowed(ctx, fleet.Subject{Name: u.Name, Groups: append([]string{"system:authenticated"}, u.Groups...)}, verb, resource, registry, environment)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := web.New(web.Config{Fleet: w.data, Access: access, Actions: done})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(heard(page))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return page, server.URL
}

// bind gives the persons their rights, as Roles that name them as deploy/docs/operating.md does.
func (w *world) bind(t *testing.T) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	for _, p := range persons {
		if p.from != theProxy || p.groups == "system:masters" {
			continue
		}
		for environment, verbs := range p.may {
			role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: p.subject().Name}}
			for _, verb := range verbs {
				rule := rbacv1.PolicyRule{APIGroups: []string{"davit.dev"}, Resources: []string{"modelreleases"}, Verbs: []string{string(verb)}}
				switch verb {
				case web.Logs:
					rule = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}}
				case web.Suspend:
					rule.Verbs = []string{"patch"}
				}
				role.Rules = append(role.Rules, rule)
			}
			namespace := "web-" + environment
			if _, err := client.RbacV1().Roles(namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			binding := &rbacv1.RoleBinding{
				ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}, Subjects: []rbacv1.Subject{p.subject()},
			}
			if _, err := client.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			access := cluster.Access{Who: p.name, Groups: []string{p.groups}, Verb: role.Rules[0].Verbs[0], Resource: role.Rules[0].Resources[0], Namespace: namespace}
			if group := role.Rules[0].APIGroups[0]; group != "" {
				access.Resource += "." + group
			}
			w.until(fmt.Sprintf("%s may %s", p.name, access), func() bool { // a moment after the binding
				ok, err := w.loop.Cluster(environment).May(t.Context(), access)
				return ok && err == nil
			})
		}
	}
}

func (p person) subject() rbacv1.Subject {
	if p.groups != "" {
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: p.groups}
	}
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: p.name}
}

// noted notes what is to be done for whom, and does nothing: this is about who may. TestStory has it done.
type noted struct {
	mu sync.Mutex
	n  map[string]int
}

func (a *noted) note(by web.User) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n[by.Name+" "+strings.Join(by.Groups, ",")]++
	return nil
}

func (a *noted) count(p person) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n[p.name+" "+p.groups]
}

func (a *noted) Promote(_ context.Context, by web.User, _ string, _ registry.Key, _, _ string) (string, error) {
	return "there", a.note(by)
}

func (a *noted) Rollback(_ context.Context, by web.User, _ string, _ registry.Key, _, _ string) (string, error) {
	return "there", a.note(by)
}

func (a *noted) Suspend(_ context.Context, by web.User, _ string, _ registry.Key, _ time.Duration, _ string) error {
	return a.note(by)
}

func (a *noted) Resume(_ context.Context, by web.User, _ string, _ registry.Key) error {
	return a.note(by)
}
