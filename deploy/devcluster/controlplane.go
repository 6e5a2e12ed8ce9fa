package devcluster

import (
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/davit-dev/davit/deploy/devcluster/planted"
)

// controlPlane is a running etcd, API server, controller manager and scheduler.
type controlPlane struct {
	server     string // https://127.0.0.1:port
	port       int
	kubeconfig string // an administrator's
	pki        *pki
	api        *api
	tokens     map[string]string // user name -> token
	// controllers are the ports of the controller manager and the scheduler.
	controllers map[*process]int
}

// tokenUsers are the identities of the token file: name and groups. Controllers run as an administrator: what
// RBAC would grant the controller manager alone does not cover its controllers.
func tokenUsers(node string) [][2]string {
	return [][2]string{
		{"admin", "system:masters"},
		{"controller-manager", "system:masters"},
		{"system:kube-scheduler", "system:masters"},
		{"system:node:" + node, "system:nodes"},
	}
}

func (s *supervisor) startControlPlane(ctx context.Context) (*controlPlane, error) {
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	c := &controlPlane{server: fmt.Sprintf("https://127.0.0.1:%d", ports[2]), port: ports[2], tokens: map[string]string{}}
	if c.pki, err = newPKI(s.path("pki")); err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	hosts := []string{"127.0.0.1", "localhost", s.net.service(1), s.net.gateway(), "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	if err := c.pki.issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, hosts...); err != nil {
		return nil, err
	}
	if err := c.pki.issue("kubelet-client", pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}}); err != nil {
		return nil, err
	}
	if err := c.writeTokens(s.path("tokens.csv"), nodeName(s.record.ID)); err != nil {
		return nil, err
	}
	if c.api, err = newAPI(c.server, c.pki.path("ca.crt"), c.tokens["admin"]); err != nil {
		return nil, err
	}
	// etcd takes connections within a fraction of a second, and the API server retries: no wait in between.
	etcd := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if err := s.startEtcd(etcd, fmt.Sprintf("http://127.0.0.1:%d", ports[1])); err != nil {
		return nil, err
	}
	server, err := s.startAPIServer(c, etcd)
	if err != nil {
		return nil, err
	}
	if err := server.until(ctx, c.api.ready); err != nil {
		return nil, err
	}
	c.kubeconfig = s.path("kubeconfig")
	if err := writeKubeconfig(c.kubeconfig, c.server, c.pki.path("ca.crt"), c.tokens["admin"]); err != nil {
		return nil, err
	}
	return c, s.startControllers(c, ports[3], ports[4])
}

func (c *controlPlane) writeTokens(path, node string) error {
	var file strings.Builder
	for _, user := range tokenUsers(node) {
		random := make([]byte, 16)
		if _, err := rand.Read(random); err != nil {
			return err
		}
		c.tokens[user[0]] = planted.Word + "-" + hex.EncodeToString(random)
		fmt.Fprintf(&file, "%s,%s,%s,%q\n", c.tokens[user[0]], user[0], user[0], user[1])
	}
	return os.WriteFile(path, []byte(file.String()), 0o600)
}

func (s *supervisor) startEtcd(client, peer string) error {
	_, err := s.start("etcd", nil, "--name=default", "--data-dir="+s.path("etcd"), "--log-level=warn",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--unsafe-no-fsync", // the data does not outlive the cluster
		"--quota-backend-bytes=8589934592")
	return err
}

// simulatedServices is never routed, so clusters may share it. It has room for half a million Services.
const simulatedServices = "10.128.0.0/13"

// serviceRange is the cluster's own 254 addresses where pods run and use them.
func (s *supervisor) serviceRange() string {
	if s.config.RealNode {
		return s.net.services()
	}
	return simulatedServices
}

func (s *supervisor) startAPIServer(c *controlPlane, etcd string) (*process, error) {
	audit, err := s.auditFlags()
	if err != nil {
		return nil, err
	}
	return s.start("kube-apiserver", []string{"GOGC=400"}, append(audit, // its start is mostly garbage
		"--etcd-servers="+etcd,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.port),
		"--tls-cert-file="+c.pki.path("apiserver.crt"), "--tls-private-key-file="+c.pki.path("apiserver.key"),
		"--cert-dir="+c.pki.dir, "--client-ca-file="+c.pki.path("ca.crt"),
		"--kubelet-client-certificate="+c.pki.path("kubelet-client.crt"), "--kubelet-client-key="+c.pki.path("kubelet-client.key"),
		"--kubelet-certificate-authority="+c.pki.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-key-file="+c.pki.path("sa.key"), "--service-account-signing-key-file="+c.pki.path("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range="+s.serviceRange(),
		"--authorization-mode=Node,RBAC", "--token-auth-file="+s.path("tokens.csv"),
		"--allow-privileged=true",
		"--endpoint-reconciler-type=none", // it would refuse a loopback address
		"--profiling=false",
	)...)
}

// startControllers does not wait until they work: both retry until they can.
func (s *supervisor) startControllers(c *controlPlane, managerPort, schedulerPort int) error {
	manager, scheduler := s.path("pki/controller-manager.kubeconfig"), s.path("pki/scheduler.kubeconfig")
	if err := writeKubeconfig(manager, c.server, c.pki.path("ca.crt"), c.tokens["controller-manager"]); err != nil {
		return err
	}
	if err := writeKubeconfig(scheduler, c.server, c.pki.path("ca.crt"), c.tokens["system:kube-scheduler"]); err != nil {
		return err
	}
	common := func(config string, port int) []string {
		return []string{"--kubeconfig=" + config, "--leader-elect=false", "--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", port), "--kube-api-qps=500", "--kube-api-burst=1000", "--cert-dir=" + filepath.Dir(config)}
	}
	p, err := s.start("kube-controller-manager", nil, append(common(manager, managerPort),
		"--service-account-private-key-file="+c.pki.path("sa.key"), "--root-ca-file="+c.pki.path("ca.crt"),
		"--authentication-kubeconfig="+manager, "--authorization-kubeconfig="+manager,
		"--use-service-account-credentials=false")...)
	if err != nil {
		return err
	}
	c.controllers = map[*process]int{p: managerPort}
	p, err = s.start("kube-scheduler", nil, append(common(scheduler, schedulerPort),
		"--authentication-kubeconfig="+scheduler, "--authorization-kubeconfig="+scheduler)...)
	c.controllers[p] = schedulerPort
	return err
}

// controllersServe waits until both do: without one of them pods are never made, or never scheduled, and nothing says so.
func (c *controlPlane) controllersServe(ctx context.Context) error {
	for p, port := range c.controllers {
		if err := p.until(ctx, func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return err
			}
			return conn.Close()
		}); err != nil {
			return err
		}
	}
	return nil
}
