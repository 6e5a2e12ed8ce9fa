package devcluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/davit-dev/davit/deploy/devcluster/planted"
)

// auditPolicy keeps what is written, by whomever but Kubernetes' own controllers: a test looks in it for what must not be there. What
// is meant to hold credentials is not kept: Secrets, and requests for and about tokens.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  resources:
  - {group: "", resources: [secrets, serviceaccounts/token, nodes, nodes/status, pods/status, pods/binding]}
  - {group: authentication.k8s.io}
- level: None
  namespaces: [kube-node-lease]
- level: None
  users: [controller-manager, "system:kube-scheduler"]
- level: Request
  verbs: [create, update, patch]
- level: None
`

// auditFlags has the API server keep Dir/audit.log. It is for tests alone: writing it takes time.
func (s *supervisor) auditFlags() ([]string, error) {
	if !s.audit {
		return nil, nil
	}
	err := os.WriteFile(s.path("audit.yaml"), []byte(auditPolicy), 0o600)
	return []string{"--audit-policy-file=" + s.path("audit.yaml"), "--audit-log-path=" + s.path("audit.log")}, err
}

// planted looks for credentials that tests planted in what was written to the API server, the OCI registry, the forge's repositories and
// the logs.
func (c *Cluster) planted() error {
	err := errors.Join(c.plantedWrites(), planted.Files(filepath.Join(c.Dir, "logs")), planted.Files(filepath.Join(c.Dir, "registry")))
	repositories, globErr := filepath.Glob(filepath.Join(c.Dir, "forge", "data", "gitea-repositories", "*", "*.git"))
	err = errors.Join(err, globErr)
	for _, dir := range repositories {
		err = errors.Join(err, planted.Git(dir))
	}
	if err != nil {
		return fmt.Errorf("a credential that a test planted was told: %w", err)
	}
	return nil
}

// plantedWrites names the requests that hold one.
func (c *Cluster) plantedWrites() error {
	file, err := os.Open(filepath.Join(c.Dir, "audit.log"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var found []error
	for lines := bufio.NewReader(file); len(found) < 10; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the end, or the beginning of a line
		}
		word := planted.Find(line)
		if word == "" {
			continue
		}
		var r struct {
			Verb       string
			RequestURI string
			UserAgent  string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		found = append(found, fmt.Errorf("%s %s by %s holds %s", r.Verb, r.RequestURI, r.UserAgent, word))
	}
	return errors.Join(found...)
}
