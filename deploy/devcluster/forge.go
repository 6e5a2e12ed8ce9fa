package devcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/davit-dev/davit/deploy/devcluster/planted"
)

// ForgeUser and ForgePassword are of the forge's administrator.
const ForgeUser, ForgePassword = "davit", planted.Word + "-on-loopback"

// forgeRoot is the folder of the templates that gitea reads beside its binary: its module's.
func forgeRoot(ctx context.Context) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "code.gitea.io/gitea")
	cmd.Dir = filepath.Join(source, "build", "gitea")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding gitea's module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// startForge starts gitea, kept in the folder forge, with Git over http and Git LFS, and makes its administrator. It
// returns its URL.
func (s *supervisor) startForge(ctx context.Context) (string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	home, address := s.path("forge"), fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	config := fmt.Sprintf(`
WORK_PATH = %[1]s
RUN_MODE = prod
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[2]d
ROOT_URL = %[3]s/
STATIC_ROOT_PATH = %[4]s
DISABLE_SSH = true
LFS_START_SERVER = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
[security]
INSTALL_LOCK = true
SECRET_KEY = %[5]s
INTERNAL_TOKEN = eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYmYiOjE3MDAwMDAwMDB9.loopback
[log]
LEVEL = Warn
[webhook]
ALLOWED_HOST_LIST = *
DELIVER_TIMEOUT = 60
[repository]
DEFAULT_BRANCH = main
[cron]
ENABLED = false
[indexer]
REPO_INDEXER_ENABLED = false
[actions]
ENABLED = false
`, home, ports[0], address, s.forgeRoot, s.record.ID)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	ini := filepath.Join(home, "app.ini")
	if err := os.WriteFile(ini, []byte(config), 0o600); err != nil {
		return "", err
	}
	env := []string{"GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT=true", "HOME=" + home}
	forge, err := s.start("gitea", env, "--config", ini, "web")
	if err != nil {
		return "", err
	}
	if err := forge.until(ctx, func(ctx context.Context) error { return answers(ctx, address+"/api/v1/version") }); err != nil {
		return "", err
	}
	admin := exec.CommandContext(ctx, s.binaries["gitea"], "--config", ini, "admin", "user", "create", "--admin",
		"--username", ForgeUser, "--password", ForgePassword, "--email", "davit@example.com", "--must-change-password=false")
	admin.Env = append(os.Environ(), env...)
	if out, err := admin.CombinedOutput(); err != nil && !strings.Contains(string(out), "already exists") {
		return "", fmt.Errorf("making the forge's administrator: %w\n%s", err, tail(out))
	}
	return address, nil
}
