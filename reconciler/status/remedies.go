package status

import (
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// remedy is what a phase's reason means to a person, and the commands that help, the likely one first. In those {release}
// is ENV/RELEASE, {name} and {environment} its parts, {namespace} its namespace, {model} MODEL@VERSION, and {other}
// another release that the message names.
type remedy struct {
	means string
	do    []string
	// person says that nothing goes on by itself.
	person bool
}

const (
	describePods = "kubectl -n {namespace} describe pods -l davit.dev/release={name}"
	readLogs     = "kubectl -n {namespace} logs -l davit.dev/release={name} --all-containers --tail 20"
	readPrevious = readLogs + " --previous"
	listEvents   = "kubectl -n {namespace} get events --sort-by .lastTimestamp"
	describeIt   = "kubectl -n {namespace} get all -l davit.dev/release={name}"
	readRoute    = "kubectl -n {namespace} describe httproute {name}"
	readScaler   = "kubectl -n {namespace} describe hpa {name}"
	readClaims   = "kubectl -n {namespace} describe pvc"
	retryIt      = "davit retry {release}"
	renderIt     = "davit render {release} --offline"
	buildIt      = "davit build {model}"
)

// waiting is by the reasons of the phase Waiting: the cause is outside the revision, and nothing is rolled back.
var waiting = map[string]remedy{
	"HistoryRewritten": {"The branch went back behind what is applied. Accept that if it is meant; otherwise put the branch back, and go back with git revert.", []string{"{accept}"}, true},
	"NotSigned":        {"None of the environment's signers signed the branch's newest commit. One of them has to commit.", []string{"git commit --allow-empty -S -m 'Accept what came before'", "git push"}, true},
	"VersionMarkedBad": {"The version was marked bad after it had served somewhere. Promote another, or delete the mark if it is wrong.", []string{"davit history {release}"}, true},
	"Conflict":         {"Somebody else has an object of that name. Delete or rename it, or take it over where the message says so; then try again.", []string{retryIt, "davit sync --adopt"}, true},
	"NotGranted":       {"The ModelRegistry does not grant that. Who runs davit can.", []string{"{grant}"}, true},
	"ImageNotSigned":   {"The environment takes signed images only. It goes on when the image is signed.", []string{"davit build {model} --signing-key FILE"}, true},
	"HealthExprFailed": {"The environment's health expression can't be evaluated. Mend it in environments/{environment}/environment.yaml.", []string{"davit validate"}, true},
	"DependsOn":        {"It goes on when that release is healthy.", []string{"davit status {other}"}, false},
	"Busy":             {"It goes on when that has ended.", []string{describeIt}, false},
	"ApplyFailed":      {"The API server did not take the objects. It is tried again.", []string{retryIt}, false},
	"ImageRegistry":    {"The OCI registry, or where the model's files come from, is out of reach or refuses the credentials. It is tried again.", []string{retryIt}, false},
	"ImagePull":        {"The image is there, and the node can't get it: the registry is out of its reach, or it lacks the credentials.", []string{describePods}, false},
	"SmokeTest":        {"The smoke test could not be sent. It is sent again.", []string{describeIt}, false},
	"DecryptionFailed": {"No key that davit has decrypts a Secret. It goes on when the key is in the Secret that the ModelRegistry names for the environment (decryption), or, of davit sync, in SOPS_AGE_KEY_FILE or gpg's keyring.", []string{"{grant}"}, true},
	"TooFewRequests":   {"rollout.checks judge it when enough requests came: rollout.minSamples. Send it some, lower that by a commit, or go back.", []string{"davit rollback {release} --reason TEXT"}, false},
	"NoSamples":        {"Prometheus does not have its serving metrics: it does not scrape the pods, or the runtime's metrics have other names.", []string{"kubectl -n {namespace} get pods -l davit.dev/release={name} -o wide", renderIt}, true},
	"NoPrometheus":     {"Its rollout has checks, and nobody may ask a Prometheus for this environment. Who runs davit can grant one, or take rollout.checks away.", []string{"{grant}"}, true},
	"Unschedulable":    {"No node has room, or the device. It goes on when one has.", []string{"davit plan {release} --server", describePods}, false},
	"SchedulingGated":  {"A gate of somebody else's keeps the pods from nodes. It goes on when that is lifted.", []string{describePods}, false},
	"NodeLost":         {"A node does not report. Its pods are replaced when it is given up or comes back.", []string{"kubectl get nodes"}, false},
	"FailedCreate":     {"A webhook or policy keeps pods from being created. It is tried again.", []string{listEvents}, true},
	"QuotaExceeded":    {"It would have more GPUs than there are for it. It goes on when others give some back, or the quota is raised.", []string{"davit status {environment}"}, true},
	"GateClosed":       {"The version is not promoted before all its gates are open; what is applied goes on. Going back passes every gate.", []string{"davit plan {release}"}, true},
	"Frozen":           {"What is applied goes on, and is corrected. Afterwards it goes on by itself. Rollbacks pass, and so does the git revert of what was healthy here before.", []string{"git commit -S --trailer 'Davit-Urgent: REASON'", "davit rollback {release} --reason TEXT"}, false},
	"Suspended":        {"It waits to be admitted by its queue.", []string{"kubectl -n {namespace} get workloads.kueue.x-k8s.io"}, false},
	"Unwatched":        {"davit may not watch that kind, or the API server has none such. It is tried again.", []string{"kubectl auth can-i watch --list -n {namespace}"}, true},
	"Unreadable":       {"The object has a form that davit can't read. It is looked at again.", []string{describeIt}, true},
	"NoGateway":        {"No controller answers for the Gateway. Install one, or mend route.gateway.", []string{"kubectl get gateways -A", readRoute}, true},
	"VolumePending":    {"The volume is not provisioned. It goes on when it is.", []string{readClaims, "kubectl get storageclasses"}, false},
	"VolumeLost":       {"The volume is gone, and what was on it. Delete the claim, and it is made again.", []string{readClaims}, true},

	"NamespaceQuotaExceeded":     {"The namespace's quota is used up. It goes on when there is room.", []string{"kubectl -n {namespace} describe quota"}, true},
	"ProgressDeadlineExceeded":   {"It takes longer than Kubernetes expected, for no reason the pods give. It may still come.", []string{describePods}, false},
	"CreateContainerConfigError": {"A Secret or ConfigMap that the pods name is not there. It goes on when it is.", []string{describePods}, true},
	"CreateContainerError":       {"The node can't make the container. It tries again.", []string{describePods}, false},
	"RunContainerError":          {"The node can't start the container. It tries again.", []string{describePods}, false},
	"ErrImagePull":               {"The node can't get the image: the registry is out of its reach, or it lacks the credentials. It tries again.", []string{describePods}, false},
	"PrometheusUnreachable":      {"Its checks can't be judged before Prometheus answers. It is asked again.", []string{"davit doctor"}, false},
	"ImagePullBackOff":           {"The node can't get the image: the registry is out of its reach, or it lacks the credentials. It tries again.", []string{describePods}, false},

	// What a Gateway's controller says of the route.
	"NotAllowedByListeners":      {"The Gateway does not let routes of this namespace in. Who runs it can.", []string{readRoute}, true},
	"NoMatchingListenerHostname": {"No listener of the Gateway has route.hostname.", []string{readRoute}, true},
	"NoMatchingParent":           {"The Gateway has no such listener.", []string{readRoute}, true},
	"BackendNotFound":            {"The Gateway's controller has not seen the Service.", []string{readRoute}, false},
	"RefNotPermitted":            {"The route leads to a namespace that does not let it.", []string{readRoute}, true},
	"Accepted":                   {"The Gateway does not take the route.", []string{readRoute}, true},
	"ResolvedRefs":               {"The Gateway does not find what the route leads to.", []string{readRoute}, true},
	"AbleToScale":                {"The autoscaler can't change the number of pods.", []string{readScaler}, true},
	"ScalingActive":              {"The autoscaler has no metric to go by. It goes on when there is one.", []string{readScaler}, false},
}

// inside is by the reasons of a failure: the cause is in the revision. Of a release that was healthy before, Waiting has
// them too.
var inside = map[string]remedy{
	"NoEndpoints":       {means: "No pod that is ready stands behind it."},
	"CrashLoop":         {"Its containers ended three times.", []string{readPrevious}, true},
	"CheckFailed":       {"It serves, and its metrics are not what rollout.checks want.", []string{"davit status {release}", readLogs}, true},
	"StartupTimeout":    {"It started and did not become ready. Raise rollout.startupTimeout if it only needs longer.", []string{readLogs}, true},
	"ImageNotFound":     {"The OCI registry has no such image.", []string{buildIt}, true},
	"ErrImageNeverPull": {"A Component says that the image is never pulled, and the node does not have it.", []string{renderIt}, true},
	"InvalidImageName":  {"The image's name is none.", []string{renderIt}, true},
	"PodForbidden":      {"The namespace's pod security does not allow such pods.", []string{renderIt}, true},
	"HealthExpr":        {"The environment's health expression says so.", []string{describeIt}, true},
	"Stalled":           {"Its controller gave up.", []string{describeIt}, true},
	"Failed":            {"Its controller gave up.", []string{describeIt}, true},
	"SmokeTestFailed":   {"It runs, and does not answer as smokeTest.expect says.", []string{readLogs}, true},
	"RenderFailed":      {"Its files can't be rendered.", []string{renderIt}, true},
	"ImageFailed":       {"Its model image can't be made of these files.", []string{buildIt}, true},
	"Refused":           {"The API server refuses its objects.", []string{renderIt}, true},
	"RollbackFailed":    {"Going back failed, too, and nothing goes on by itself. Try again when the cause is gone.", []string{retryIt, readPrevious}, true},

	"BackoffLimitExceeded": {"Its job failed as often as it may.", []string{readLogs}, true},
	"DeadlineExceeded":     {"Its job took longer than it may.", []string{readLogs}, true},
	"PodFailurePolicy":     {"Its job's policy calls that failure final.", []string{readLogs}, true},
	"FailedJobs":           {"Its jobs failed as often as they may.", []string{readLogs}, true},
}

// underway is by the reasons of the phase Progressing: it goes on by itself.
var underway = map[string]remedy{
	"Applied":          {means: "Its objects are applied."},
	"Retry":            {means: "It is applied again."},
	"Resume":           {means: "What the branch asks for is tried again."},
	"Retried":          {means: "It is tried again."},
	"Recovered":        {means: "The cluster knew nothing of it. It goes where its outcomes in Git left it."},
	"Canary":           {means: "It gets more of the traffic step by step."},
	"TrafficTurned":    {means: "It has the traffic, and counts as healthy when it stays ready."},
	"TrafficTakenBack": {means: "None of its pods was ready, so what served before has the traffic again. It goes on when they are.", do: []string{describePods}},
	"RollingOut":       {means: "Its pods are being replaced."},
	"NotReady":         {means: "Its pods are not ready yet."},
	"Starting":         {means: "Its pods are starting."},
	"Restarting":       {means: "A container ended and is started again; the third time is a failure.", do: []string{readPrevious}},
	"Restarted":        {means: "Its jobs were started again.", do: []string{readPrevious}},
	"Running":          {means: "Its job runs."},
	"InProgress":       {means: "The environment's health expression says so."},
	"NotCurrent":       {means: "The environment's health expression does not hold yet."},
	"Unobserved":       {means: "It was just applied."},
	"Missing":          {means: "An object is not there; it is applied again.", do: []string{retryIt}},
	"Deleting":         {means: "An object is being deleted, and made again after that.", do: []string{describeIt}},
	"BackendNotFound":  {means: "The Gateway is about to see the Service."},
	"VolumePending":    {means: "Its volume is being provisioned."},
}

// remedyFor explains a phase and reason. Reasons of Kubernetes' own that no table has are explained by their phase.
func remedyFor(phase v1alpha1.Phase, reason string) remedy {
	switch phase {
	case v1alpha1.Progressing:
		if r, ok := underway[reason]; ok {
			return r
		}
		return remedy{means: "It is on its way."}
	case v1alpha1.Waiting:
		if r, ok := waiting[reason]; ok {
			return r
		}
		if r, ok := inside[reason]; ok {
			r.means += " It was healthy before, so this is not taken for the revision's fault."
			return r
		}
		if strings.HasPrefix(reason, "FailedGet") || strings.HasPrefix(reason, "FailedUpdate") || strings.HasPrefix(reason, "InvalidMetric") {
			return remedy{"The autoscaler can't do its work.", []string{readScaler}, false}
		}
		return remedy{"The cause is not in the revision, so nothing is rolled back. It goes on when the cause is gone.", []string{describePods}, false}
	case v1alpha1.Failed, v1alpha1.Held:
		if r, ok := inside[reason]; ok {
			return r
		}
		return remedy{"The cause is in the revision.", []string{describePods}, true}
	}
	return remedy{} // Healthy; RolledBack is explained by what is held
}
