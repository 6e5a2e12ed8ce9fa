package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ModelRegistry names a repository to follow and what it may do where. It lives in davit's own namespace: the
// repository is not trusted with its own limits, and environment.yaml can only narrow them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mreg,categories=davit
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Branch",type=string,JSONPath=`.spec.branch`,priority=1
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="Author",type=string,JSONPath=`.status.author`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ModelRegistry struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec ModelRegistrySpec `json:"spec"`
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status ModelRegistryStatus `json:"status,omitzero"`
}

// ModelRegistryList is a page of ModelRegistries.
//
// +kubebuilder:object:root=true
type ModelRegistryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelRegistry `json:"items"`
}

// ModelRegistrySpec is what to follow, and its authority.
//
// +kubebuilder:validation:XValidation:rule="[has(self.branch), has(self.tag), has(self.semver)].filter(x, x).size() <= 1",message="only one of branch, tag and semver"
type ModelRegistrySpec struct {
	// URL of the Git repository, without credentials.
	// +kubebuilder:validation:MinLength=1
	URL string `json:"url"`
	// Branch to follow; the one HEAD names when empty and neither Tag nor Semver is set.
	// +optional
	Branch string `json:"branch,omitempty"`
	// Tag to follow instead of a branch, wherever it is moved; an annotated one stands for its commit. A tag that is moved
	// back, or another one that does not come after what was followed, is a rewritten history: acceptRewrite, with the
	// commit's hash, is the way back to an older tag. Reverts, promotions and new versions are proposed to the repository's
	// default branch, and merged by people alone, whatever rules say: what is merged there is followed once it is tagged.
	// +optional
	Tag string `json:"tag,omitempty"`
	// Semver is a range: the tag with the greatest semantic version in it is followed instead of a branch (">=1.0.0 <2.0.0",
	// "~1.2", "^1.2.3"). Tags may begin with "v"; pre-releases count where the range names one (">=1.0.0-0"). What the tags'
	// names begin with may stand before it, up to a slash: "registry/>=1.0.0" for registry/v1.2.0. The rest is as for tag.
	// +optional
	Semver string `json:"semver,omitempty"`
	// Path is the folder of the repository that holds the registry, from the repository's root; the whole repository when
	// empty. Commits that change nothing below it change no release, and nothing outside it is ever proposed. A registry that
	// moves into a folder rolls nothing. Releases of several registries in one repository need different names: outcomes, the
	// ledger of runs and the branches of proposals are the repository's.
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="a folder below the repository's root, without .. in it, such as ml/registry"
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Path string `json:"path,omitempty"`
	// Suspend stops following: what runs stays as it is, and nothing is written.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// DeletionPolicy says what becomes of the releases when this object is deleted while davit runs: they are left as they
	// are (Orphan, also when empty; another ModelRegistry takes them by takeOver), or removed with their objects (Delete;
	// runs of trainings go on, and namespaces stay). There is no finalizer: without a running davit they are left, as they
	// are when davit's CRDs or namespace are deleted.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// TakeOver names owners whose releases this registry takes over as it applies them: "namespace/name" of a ModelRegistry
	// that was deleted, or what davit sync wrote as spec.owner of its ModelReleases.
	// +optional
	// +listType=set
	TakeOver []string `json:"takeOver,omitempty"`
	// Interval between two looks at the repository; 10s when zero.
	// +optional
	Interval metav1.Duration `json:"interval,omitzero"`
	// Credentials names a Secret beside the ModelRegistry. Its keys: for https username and password, or bearerToken, or
	// githubAppID, githubAppInstallationID and githubAppPrivateKey; ca.crt for a certificate authority of one's own;
	// tls.crt and tls.key for a client certificate; for ssh identity, known_hosts and, for a key with a passphrase,
	// password. Of username and password, bearerToken and the App only one may be there. A Secret that changes is heeded
	// without a restart.
	// +optional
	Credentials string `json:"credentials,omitempty"`
	// Proxy names a Secret beside the ModelRegistry with the address of an HTTP proxy for the Git repository and its forge
	// (http://host:port), and username and password where it asks for them. Ssh goes through it, too.
	// +optional
	Proxy string `json:"proxy,omitempty"`
	// Images is how model images are pushed and pulled; by the docker config of davit's own process when absent, and where
	// that does not name the OCI registry by workload identity (ECR, GAR, ACR), or anonymously.
	// +optional
	Images *ImageAccess `json:"images,omitempty"`
	// Notifications are sent at changes of releases.
	// +optional
	// +listType=map
	// +listMapKey=name
	Notifications []Notification `json:"notifications,omitempty"`
	// Outcomes says where outcomes are kept: as notes in Git, or, where davit may only read the repository, in the
	// ModelReleases alone, which keep the last five of each release.
	// +optional
	// +kubebuilder:validation:Enum=Git;Cluster
	Outcomes string `json:"outcomes,omitempty"`
	// Committer is who davit's own commits are by: outcomes and proposals.
	// +optional
	Committer *Committer `json:"committer,omitempty"`
	// Forge is where proposals become pull requests, and commits get their statuses; none when absent.
	// +optional
	Forge *Forge `json:"forge,omitempty"`
	// AcceptRewrite is the full hash of a commit that may be followed although it does not come after the one followed
	// last: what a person writes after a forced push or a reset that is meant. Where every commit must be signed, it
	// must be signed itself, and those before it need not be.
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{40})?$`
	// +optional
	AcceptRewrite string `json:"acceptRewrite,omitempty"`
	// Environments are the ones the registry may have; others are refused.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	Environments []EnvironmentGrant `json:"environments"`
}

// DeletionPolicy says what becomes of what an object stands for when it is deleted.
//
// +kubebuilder:validation:Enum=Orphan;Delete
type DeletionPolicy string

// The deletion policies.
const (
	// Orphan leaves it as it is.
	Orphan DeletionPolicy = "Orphan"
	// Delete removes it.
	Delete DeletionPolicy = "Delete"
)

// ImageAccess is how OCI registries are reached.
type ImageAccess struct {
	// Secret beside the ModelRegistry: .dockerconfigjson (type kubernetes.io/dockerconfigjson) and, for a certificate
	// authority of one's own, ca.crt. Registries that it does not name are reached by workload identity (ECR, GAR, ACR), or
	// anonymously; the docker config of davit's process does not count then. A Secret that changes is heeded at once.
	// +optional
	Secret string `json:"secret,omitempty"`
}

// Notification is one receiver of what comes of releases.
type Notification struct {
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Kind of message: a Slack-compatible webhook (Slack, Mattermost, Rocket.Chat, Discord's /slack), CloudEvents 1.0 in
	// JSON by HTTP (structured mode), or a comment on the commit or its pull request at the registry's forge.
	// +kubebuilder:validation:Enum=Slack;CloudEvents;Forge
	Kind string `json:"kind"`
	// Secret beside the ModelRegistry with the key url, where it is sent to, and for CloudEvents, where the receiver checks
	// them, token (sent as a bearer token) or hmacKey (the body's HMAC-SHA256 is sent in X-Davit-Signature-256). Not for
	// Forge.
	// +optional
	Secret string `json:"secret,omitempty"`
	// Environments it is for; all when empty.
	// +optional
	// +listType=set
	Environments []string `json:"environments,omitempty"`
	// States it is for: Healthy, Failed, RolledBack, Held, Waiting, Pinned, Proposed, TrainingSucceeded, TrainingFailed;
	// Failed, RolledBack, Held and TrainingFailed when empty.
	// +optional
	// +listType=set
	// +kubebuilder:validation:items:Enum=Healthy;Failed;RolledBack;Held;Waiting;Pinned;Proposed;TrainingSucceeded;TrainingFailed
	States []string `json:"states,omitempty"`
}

// Committer is who davit commits as.
type Committer struct {
	// Name is "davit" when empty, Email "davit@davit.dev".
	// +optional
	Name string `json:"name,omitempty"`
	// +optional
	Email string `json:"email,omitempty"`
	// SigningKey is an SSH private key without a passphrase, in a Secret beside the ModelRegistry; commits are not signed
	// when absent.
	// +optional
	SigningKey *SecretKey `json:"signingKey,omitempty"`
}

// Forge is a host of Git repositories with pull requests.
type Forge struct {
	// Kind is found by the URL of the repository when empty; name it for hosts of your own.
	// +optional
	// +kubebuilder:validation:Enum=GitHub;GitLab;Gitea
	Kind string `json:"kind,omitempty"`
	// URL of the forge, without the repository; the repository's host when empty.
	// +optional
	URL string `json:"url,omitempty"`
	// Secret beside the ModelRegistry holds a key token, and a key webhook where webhooks are received: what the forge
	// signs them with. Without a token, a GitHub App that the credentials name is asked for one.
	// +optional
	Secret string `json:"secret,omitempty"`
}

// EnvironmentGrant is the authority of one environment.
type EnvironmentGrant struct {
	// Name of the environment, as in the registry.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Cluster names a key of a Secret beside the ModelRegistry that holds a kubeconfig; davit's own cluster when
	// absent.
	// +optional
	Cluster *SecretKey `json:"cluster,omitempty"`
	// Namespaces the environment may be in.
	// +kubebuilder:validation:MinItems=1
	// +listType=set
	Namespaces []string `json:"namespaces"`
	// ServiceAccount is impersonated for every write of objects and every read of logs; davit's own identity when
	// absent.
	// +optional
	ServiceAccount *ServiceAccount `json:"serviceAccount,omitempty"`
	// Kinds that releases may have, as "Kind" or "Kind.group"; every namespaced kind when empty.
	// +optional
	// +listType=set
	Kinds []string `json:"kinds,omitempty"`
	// Sources are where model files may come from besides the repository itself, which is always allowed, with what
	// Git LFS keeps at its host. Any other source is refused.
	// +optional
	// +listType=map
	// +listMapKey=prefix
	Sources []SourceGrant `json:"sources,omitempty"`
	// Images is what a model image must have to be used, beside what environment.yaml asks for.
	// +optional
	Images *ImagePolicy `json:"images,omitempty"`
	// Signers are who must have signed the branch's newest commit for the environment to follow it: lines of an
	// allowed_signers file (ssh-keygen(1)) or armored OpenPGP public keys. Anybody's commits count when empty.
	// +optional
	// +listType=atomic
	Signers []string `json:"signers,omitempty"`
	// Verify says which commits must be signed: the branch's newest one (Head), or every commit since the one followed
	// last (Every), merged branches included. What is below the first commit that is followed goes with that one's
	// signature.
	// +optional
	// +kubebuilder:validation:Enum=Head;Every
	Verify string `json:"verify,omitempty"`
	// MaxDeletions is how many releases one commit may remove at most; environment.yaml may say less.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxDeletions int `json:"maxDeletions,omitempty"`
	// MinBake is the shortest time a release must stay ready to count as healthy.
	// +optional
	MinBake metav1.Duration `json:"minBake,omitzero"`
	// PullSecrets are Secrets beside the ModelRegistry (type kubernetes.io/dockerconfigjson) that are copied to the
	// environment's namespaces, kept up to date there, and named by the pods of its releases and runs as imagePullSecrets.
	// +optional
	// +listType=set
	PullSecrets []string `json:"pullSecrets,omitempty"`
	// Decryption names a Secret beside the ModelRegistry whose keys decrypt what SOPS encrypted in the registry: age
	// identities under names that end in .agekey, armored OpenPGP private keys under names that end in .asc.
	// +optional
	Decryption string `json:"decryption,omitempty"`
	// Prometheus is asked for the serving metrics of the environment's releases.
	// +optional
	Prometheus *Prometheus `json:"prometheus,omitempty"`
	// Policy is how promotions to the environment are decided, whatever environment.yaml says: that can only be stricter.
	// +optional
	Policy *PromotionPolicy `json:"policy,omitempty"`
}

// Prometheus is a server that answers the query API of Prometheus.
type Prometheus struct {
	// URL without credentials: http://prometheus.monitoring:9090.
	// +kubebuilder:validation:Pattern=`^https?://`
	URL string `json:"url"`
	// Secret beside the ModelRegistry: username and password, or bearerToken; ca.crt. It is read anew each time.
	// +optional
	Secret string `json:"secret,omitempty"`
	// Labels are those that the environment's series have beside namespace and pod, where one server has the series of
	// several clusters: {cluster: eu-1}.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// ImagePolicy is what a model image must have.
type ImagePolicy struct {
	// Keys are public keys in PEM; an image must be signed by one of them.
	// +kubebuilder:validation:MinItems=1
	// +listType=atomic
	Keys []string `json:"keys"`
	// Provenance says that a SLSA provenance must be attached, signed by one of the keys.
	// +optional
	Provenance bool `json:"provenance,omitempty"`
}

// SourceGrant lets model files come from the URIs at or below a prefix.
type SourceGrant struct {
	// Prefix is a URI: "s3://models/iris", "hf://organisation", "oci://registry.example.com/models".
	// +kubebuilder:validation:Pattern=`^[a-z0-9]+://.+`
	Prefix string `json:"prefix"`
	// Secret beside the ModelRegistry holds the credentials for these sources; davit's own are used when absent. Its
	// keys are, by scheme: username and password, or token (https, oci); token (hf); AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY and, where needed, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL (s3); credentials.json
	// (gs); AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN (azblob).
	// +optional
	Secret string `json:"secret,omitempty"`
}

// SecretKey is one key of a Secret.
type SecretKey struct {
	Secret string `json:"secret"`
	Key    string `json:"key"`
}

// ServiceAccount names one.
type ServiceAccount struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// ModelRegistryStatus is how following goes.
type ModelRegistryStatus struct {
	// Revision is the commit followed last, "branch@sha1:<12 hex>", or "tag@sha1:<12 hex>".
	// +optional
	Revision string `json:"revision,omitempty"`
	// Followed are the commits that environments followed last: a commit that does not come after them is not followed
	// before a person accepts it.
	// +optional
	// +listType=map
	// +listMapKey=environment
	Followed []FollowedCommit `json:"followed,omitempty"`
	// Accepted is the spec's acceptRewrite once a branch was followed by it: that accepts no other rewrite. To accept the
	// same commit again, take it out of the spec first.
	// +optional
	Accepted string `json:"accepted,omitempty"`
	// Rollouts are the shared changes that go through an environment in waves and are not at their end.
	// +optional
	// +listType=atomic
	Rollouts []Rollout `json:"rollouts,omitempty"`
	// Places are where the environments are, or were and still have releases: recorded before anything is applied
	// there, so that a release that moves is deleted where it was.
	// +optional
	// +listType=atomic
	Places []EnvironmentPlace `json:"places,omitempty"`
	// Author is who wrote the commit of Revision.
	// +optional
	Author string `json:"author,omitempty"`
	// Conditions are Ready, Reconciling and Stalled, as kstatus reads them, of following the repository as the spec says;
	// Recorded: whether outcomes reach Git; Notified: whether notifications reach their receivers; Monitored:
	// whether each granted Prometheus answers; and Suspended, once it was.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// FollowedCommit is the commit an environment followed last.
type FollowedCommit struct {
	Environment string `json:"environment"`
	// Commit is the full hash.
	Commit string `json:"commit"`
}

// Rollout is a commit whose change of a shared file goes through an environment's releases in waves.
type Rollout struct {
	Environment string `json:"environment"`
	// Commit is the full hash.
	Commit string `json:"commit"`
	// Wave is the present one of Waves, from 1.
	Wave  int `json:"wave"`
	Waves int `json:"waves"`
	// Begun is how many of Releases have had their turn.
	Begun    int `json:"begun"`
	Releases int `json:"releases"`
	// NotBefore is when the present wave begins, while the soak before it lasts.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`
	// Soak says by whom the time between two waves is shorter than the environment's, or why a commit that asks for that is
	// not heeded.
	// +optional
	Soak string `json:"soak,omitempty"`
	// Failed names the releases that failed.
	// +optional
	// +listType=atomic
	Failed []string `json:"failed,omitempty"`
	// Stopped says that as many failed as the environment bears: git revert takes the commit back from all its
	// releases at once.
	// +optional
	Stopped bool `json:"stopped,omitempty"`
}

// EnvironmentPlace is where an environment's releases may be: the part of an EnvironmentGrant that says so.
type EnvironmentPlace struct {
	Environment string `json:"environment"`
	// +optional
	Cluster *SecretKey `json:"cluster,omitempty"`
	// +listType=set
	Namespaces []string `json:"namespaces"`
	// +optional
	ServiceAccount *ServiceAccount `json:"serviceAccount,omitempty"`
	// PullSecrets are those that were copied there, to be removed when they are granted no more.
	// +optional
	// +listType=set
	PullSecrets []string `json:"pullSecrets,omitempty"`
}
