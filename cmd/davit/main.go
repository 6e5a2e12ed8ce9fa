// Command davit brings the models of a Git repository to Kubernetes and takes them back.
//
// It holds commands, flags, wiring and exit codes, and is the only place that reads the environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// Exit codes.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitChanges = 3 // plan, drift: there are changes
	exitInvalid = 4 // validate: the registry has faults
)

// exit is an error that has said all it has to say and only carries a code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usage is an error in how the command was called.
type usage struct{ error }

// gcPercent trades a little CPU time for memory: what is kept of ten thousand releases is long-lived, and the
// garbage beside it small. GOGC overrides it.
const gcPercent = 22

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends what does not heed the first
	}()
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // client-go writes to stderr what is returned as an error, too
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exit
	var bad usage
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &bad), strings.HasPrefix(err.Error(), "unknown command"):
		fmt.Fprintf(stderr, "davit: %s\n", plainLines(err.Error()))
		return exitUsage
	}
	fmt.Fprintf(stderr, "davit: %s\n", plainLines(err.Error()))
	return exitFailed
}

// app is what the commands share: the global flags.
type app struct {
	dir        string
	rev        string
	kubeconfig string
	context    string
	signingKey string
}

func newRoot() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "davit",
		Short: "Brings the models of a Git repository to Kubernetes and takes them back",
		Long: "davit follows a model registry kept in Git: it builds model images, renders each release and\n" +
			"syncs it to Kubernetes. A merge promotes a model, git revert rolls it back.",
		SilenceErrors: true, SilenceUsage: true, Version: version(),
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&a.dir, "dir", "C", ".", "the registry repository, or a folder in it")
	flags.StringVar(&a.rev, "rev", "", "read this revision, not the worktree")
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl)")
	flags.StringVar(&a.context, "context", "", "kubeconfig context (default: the current one)")
	root.AddCommand(
		initCommand(), newCommand(a), addCommand(a), runtimeCommand(a), acceleratorCommand(a), validateCommand(a),
		planCommand(a), approveCommand(a), promoteCommand(a), codeownersCommand(a), findCommand(a), buildCommand(a),
		pullCommand(a), renderCommand(a), tryCommand(a), installCommand(a), uninstallCommand(a), syncCommand(a), controllerCommand(a),
		statusCommand(a), historyCommand(a), driftCommand(a), suspendCommand(a), resumeCommand(a), retryCommand(a),
		rollbackCommand(a), whyCommand(a), lineageCommand(a), trainCommand(a), publishRunCommand(a), doctorCommand(a),
		versionCommand(),
	)
	for _, c := range root.Commands() {
		asUsage(c)
	}
	return root
}

// asUsage gives a wrong number of arguments the exit code of wrong usage, for a command and those below it.
func asUsage(c *cobra.Command) {
	for _, below := range c.Commands() {
		asUsage(below)
	}
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
		}
		return nil
	}
}
