package install_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	authv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
)

const own, writer = "system:serviceaccount:davit-system:davit", "system:serviceaccount:%s:davit-releases"

// nobody has a name, and nothing else.
const nobody = "system:serviceaccount:nowhere:nobody"

// granted are the parts of testdata/rights.txt by their titles, each right as "verb resource[.group][/subresource][:name]".
func granted(t *testing.T) func(titles ...string) map[string]bool {
	t.Helper()
	file, err := txtar.ParseFile("testdata/rights.txt")
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]map[string]bool{}
	for _, part := range file.Files {
		all := map[string]bool{}
		for line := range strings.Lines(strings.TrimSpace(string(part.Data))) {
			columns := strings.Split(line, " | ")
			if len(columns) != 3 {
				t.Fatalf("%s: %q is not of the form verbs | resources | for", part.Name, line)
			}
			for _, verb := range strings.Fields(columns[0]) {
				for _, resource := range strings.Fields(columns[1]) {
					all[verb+" "+resource] = true
				}
			}
		}
		parts[part.Name] = all
	}
	return func(titles ...string) map[string]bool {
		all := map[string]bool{}
		for _, title := range titles {
			if parts[title] == nil {
				t.Fatalf("rights.txt has no part %q", title)
			}
			maps.Copy(all, parts[title])
		}
		return all
	}
}

// rights are what the API server says that somebody may in a namespace, but for what everybody may.
func rights(t *testing.T, account, namespace string) map[string]bool {
	t.Helper()
	all := rulesOf(t, account, namespace)
	for what := range rulesOf(t, nobody, namespace) {
		delete(all, what)
	}
	return all
}

func rulesOf(t *testing.T, account, namespace string) map[string]bool {
	t.Helper()
	cfg := rest.CopyConfig(admin)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: account, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	as, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	review := &authv1.SelfSubjectRulesReview{Spec: authv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	got, err := as.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, r := range got.Status.NonResourceRules {
		all[fmt.Sprint(r.Verbs, r.NonResourceURLs)] = true
	}
	for _, r := range got.Status.ResourceRules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, name := range append(r.ResourceNames, "")[:max(len(r.ResourceNames), 1)] {
					for _, verb := range r.Verbs {
						all[verb+" "+resourceName(group, resource, name)] = true
					}
				}
			}
		}
	}
	return all
}

func resourceName(group, resource, name string) string {
	resource, sub, _ := strings.Cut(resource, "/")
	for _, part := range [][2]string{{".", group}, {"/", sub}, {":", name}} {
		if part[1] != "" {
			resource += part[0] + part[1]
		}
	}
	return resource
}

// holds waits until somebody may do what is wanted in a namespace, and holds that there is nothing else.
func holds(t *testing.T, what, account, namespace string, want map[string]bool) {
	t.Helper()
	var got map[string]bool
	eventually(t, what+": the rights of "+account+" in "+namespace, func() bool {
		got = rights(t, account, namespace)
		return maps.Equal(got, want)
	})
	for _, right := range slices.Sorted(maps.Keys(got)) {
		if !want[right] {
			t.Errorf("%s: %s may %s in %s, and rights.txt does not say for what", what, account, right, namespace)
		}
	}
	for _, right := range slices.Sorted(maps.Keys(want)) {
		if !got[right] {
			t.Errorf("%s: %s may not %s in %s", what, account, right, namespace)
		}
	}
}

// TestRights holds each account of each overlay, in davit's namespace, in an environment's and in one that davit has nothing to
// do with, to the rights that testdata/rights.txt says what they are for; and asks of what the threat model denies.
func TestRights(t *testing.T) {
	table := granted(t)
	for _, overlay := range install.Overlays() {
		ns := "rights-" + string(overlay)
		apply(t, overlay, ns)
		what, actor := string(overlay), fmt.Sprintf(writer, ns)
		inside, acting := table("davit, anywhere", "davit, in an environment", "davit, in an environment of its own account"), table("who writes, in an environment")
		if !overlay.Impersonates() {
			inside, acting = table("davit, anywhere", "davit, in an environment", "who writes, in an environment"), nil
		}
		holds(t, what, own, install.Namespace, table("davit, anywhere", "davit, in its own namespace"))
		holds(t, what, own, ns, inside)
		holds(t, what, actor, ns, acting)
		for _, elsewhere := range []string{"default", metav1.NamespaceSystem} {
			holds(t, what, own, elsewhere, table("davit, anywhere"))
			holds(t, what, actor, elsewhere, nil)
		}
		holds(t, what, actor, install.Namespace, nil)
		for _, who := range []string{own, actor} {
			for _, where := range []string{ns, install.Namespace, "default", metav1.NamespaceSystem, "-"} {
				denied(t, who, where)
			}
		}
	}
}

// denied asks the API server about what no account of davit's may anywhere: by it, it would get rights that nobody gave it.
func denied(t *testing.T, who, namespace string) {
	t.Helper()
	questions := []string{
		"impersonate users", "impersonate groups:system:masters", "impersonate serviceaccounts", "impersonate serviceaccounts:default",
		"impersonate userextras.authentication.k8s.io/scopes", "impersonate uids.authentication.k8s.io",
		"create serviceaccounts/token", "create tokenreviews.authentication.k8s.io", "create certificatesigningrequests.certificates.k8s.io",
		"approve signers.certificates.k8s.io", "update certificatesigningrequests.certificates.k8s.io/approval",
		"create pods", "patch pods", "patch pods/ephemeralcontainers", "create pods/exec", "get pods/exec", "create pods/attach", "create pods/portforward",
		"create pods/proxy", "get nodes/proxy", "patch nodes", "patch namespaces", "create namespaces", "delete namespaces",
		"create modelregistries.davit.dev", "update modelregistries.davit.dev", "patch modelregistries.davit.dev", "delete modelregistries.davit.dev",
		"update customresourcedefinitions.apiextensions.k8s.io", "create apiservices.apiregistration.k8s.io", "create persistentvolumes",
		"create mutatingwebhookconfigurations.admissionregistration.k8s.io", "create validatingadmissionpolicies.admissionregistration.k8s.io",
		"delete validatingadmissionpolicybindings.admissionregistration.k8s.io:davit-multi-tenant", "watch secrets:other",
	}
	for _, kind := range []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"} {
		for _, verb := range []string{"create", "update", "patch", "delete", "bind", "escalate"} {
			questions = append(questions, verb+" "+kind+".rbac.authorization.k8s.io")
		}
	}
	if namespace == "default" || namespace == metav1.NamespaceSystem || namespace == "-" {
		for _, verb := range []string{"get", "list", "watch", "create", "patch", "delete"} {
			questions = append(questions, verb+" secrets", verb+" deployments.apps", verb+" modelreleases.davit.dev")
		}
	}
	for _, q := range questions {
		if q == "watch secrets:other" && namespace == install.Namespace {
			continue // davit's own: what a ModelRegistry names is told by a watch
		}
		if may(t, who, q, namespace) {
			t.Errorf("%s may %s in %s", who, q, namespace)
		}
	}
}

// may asks whether somebody may do what is said, "verb resource[.group][/subresource][:name]", in a namespace; "-" for all.
func may(t *testing.T, who, what, namespace string) bool {
	t.Helper()
	verb, resource, _ := strings.Cut(what, " ")
	resource, name, _ := strings.Cut(resource, ":")
	resource, sub, _ := strings.Cut(resource, "/")
	resource, group, _ := strings.Cut(resource, ".")
	a := &authv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Name: name, Namespace: strings.TrimPrefix(namespace, "-")}
	groups := []string{"system:serviceaccounts", "system:authenticated"}
	review := &authv1.SubjectAccessReview{Spec: authv1.SubjectAccessReviewSpec{User: who, Groups: groups, ResourceAttributes: a}}
	got, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.Allowed
}

// TestRightsOfPeople: who may view or edit a namespace gets what rights.txt says of davit's kinds there, and nothing elsewhere.
func TestRightsOfPeople(t *testing.T) {
	apply(t, install.MultiTenant, "people")
	table := granted(t)
	for _, role := range []string{"view", "edit"} {
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: role + "er"}},
		}
		if _, err := client.RbacV1().RoleBindings("people").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		var got map[string]bool
		eventually(t, role, func() bool {
			got = rights(t, role+"er", "people")
			maps.DeleteFunc(got, func(right string, _ bool) bool { return !strings.Contains(right, ".davit.dev") })
			return maps.Equal(got, table(role))
		})
		if t.Failed() {
			t.Errorf("%s may %v", role, slices.Sorted(maps.Keys(got)))
		}
		holds(t, role, role+"er", install.Namespace, nil)
	}
}

// TestRightsElsewhere: in another cluster than the controller's davit reads no Secret but where it writes; and each component gives what
// it is for and nothing more.
func TestRightsElsewhere(t *testing.T) {
	c, table := apply(t, install.MultiTenant, ""), granted(t)
	none := func(string, cluster.Change) {}
	for _, component := range []string{"capacity", "page"} {
		var roles []*unstructured.Unstructured
		for _, o := range composed(t, install.MultiTenant, component) {
			if o.GetName() == "davit-"+component {
				roles = append(roles, o)
			}
		}
		if err := c.Setup(t.Context(), roles, false, none); err != nil || len(roles) != 2 {
			t.Fatalf("%d roles and bindings: %v", len(roles), err)
		}
		holds(t, component, own, "default", table("davit, anywhere", "davit, anywhere, by deploy/"+component))
		if err := c.TearDown(t.Context(), roles, false, none); err != nil {
			t.Fatal(err)
		}
	}
	before := slices.DeleteFunc(objects(t, install.MultiTenant, "", ""), func(o *unstructured.Unstructured) bool {
		return o.GetName() != "davit" || o.GetKind() != "Role" && o.GetKind() != "RoleBinding"
	})
	if err := c.TearDown(t.Context(), before, false, none); err != nil || len(before) != 2 {
		t.Fatalf("%d: %v", len(before), err)
	}
	remote := parts(t, kubectlKustomize(t, "../../deploy/remote"))
	if err := c.Setup(t.Context(), remote, false, none); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{install.Namespace, "default"} {
		holds(t, "remote", own, namespace, table("davit, anywhere"))
	}
}
