package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
)

// installOptions are the flags of install.
type installOptions struct {
	overlay      string
	namespace    string
	image        string
	crds         bool
	environments []string
	dry          bool
	output       string
	timeout      time.Duration
}

func installCommand(a *app) *cobra.Command {
	o := &installOptions{}
	c := &cobra.Command{
		Use:   "install",
		Short: "Install the controller in the cluster, or davit's CRDs alone",
		Long: "Applies what kubectl apply -k deploy/OVERLAY applies, from what is in this binary, and waits until the\n" +
			"controller is available. The same command again upgrades. With --environment it prepares the namespaces\n" +
			"of environments too: what davit may do is granted there and nowhere else. It takes the rights of a\n" +
			"cluster's administrator; davit sync takes --crds only.",
	}
	f := c.Flags()
	f.StringVar(&o.overlay, "overlay", string(install.MultiTenant), "how the controller runs, where it does not yet: single-tenant (it writes releases itself), multi-tenant (as a service account of each environment) or highly-available (multi-tenant, two replicas)")
	f.StringVar(&o.namespace, "namespace", install.Namespace, "the controller's namespace")
	f.StringVar(&o.image, "image", "", "the controller's image, with its tag or digest (default: the one that is installed)")
	f.BoolVar(&o.crds, "crds", false, "install the CRDs only, which is what davit sync needs")
	f.StringArrayVar(&o.environments, "environment", nil, "prepare the namespace of an environment: NAME=NAMESPACE; may be repeated")
	f.BoolVar(&o.dry, "dry-run", false, "change nothing and print what would change; with -o yaml, the objects")
	f.StringVarP(&o.output, "output", "o", "", "with --dry-run: yaml")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up waiting for the controller after this time")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		environments, err := o.check(cmd)
		if err != nil {
			return usage{err}
		}
		if o.output == "yaml" {
			return o.printYAML(cmd.OutOrStdout(), environments)
		}
		return a.install(cmd, o, environments)
	}
	return c
}

// room is an environment and its namespace.
type room struct{ environment, namespace string }

// check reports every fault of the flags.
func (o *installOptions) check(cmd *cobra.Command) (places []room, err error) {
	var faults []error
	if o.output != "" && (o.output != "yaml" || !o.dry) {
		faults = append(faults, errors.New("-o yaml goes with --dry-run, and there is no other format"))
	}
	if o.crds && (o.image != "" || len(o.environments) > 0 || cmd.Flags().Changed("overlay")) {
		faults = append(faults, errors.New("--crds installs the CRDs only: leave --image, --overlay and --environment out"))
	}
	if bad := validation.IsDNS1123Label(o.namespace); len(bad) > 0 {
		faults = append(faults, fmt.Errorf("--namespace %q: %s", o.namespace, strings.Join(bad, ", ")))
	}
	if _, err := install.Controller(o.config()); err != nil {
		faults = append(faults, err)
	}
	for _, text := range o.environments {
		name, namespace, ok := strings.Cut(text, "=")
		if bad := validation.IsDNS1123Label(namespace); !ok || name == "" || len(bad) > 0 || namespace == o.namespace {
			faults = append(faults, fmt.Errorf("--environment %q is not NAME=NAMESPACE, such as production=ml-production, with a namespace other than davit's", text))
			continue
		}
		places = append(places, room{name, namespace})
	}
	return places, errors.Join(faults...)
}

func (o *installOptions) config() install.Config {
	return install.Config{Overlay: install.Overlay(o.overlay), Namespace: o.namespace, Image: o.image}
}

// objects are all that is to be applied, in order.
func (o *installOptions) objects(places []room) ([]*unstructured.Unstructured, error) {
	if o.crds {
		return install.CRDs()
	}
	all, err := install.Controller(o.config())
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		objects, err := install.Environment(o.config(), p.namespace)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

func (o *installOptions) printYAML(w io.Writer, places []room) error {
	objects, err := o.objects(places)
	if err != nil {
		return err
	}
	text, err := install.YAML(objects)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func (a *app) install(cmd *cobra.Command, o *installOptions, places []room) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	target, err := a.cluster(ctx)
	if err != nil {
		return err
	}
	if err := o.complete(ctx, cmd, target); err != nil {
		return err
	}
	objects, err := o.objects(places)
	if err != nil {
		return err
	}
	if err := target.Setup(ctx, objects, o.dry, changes(out, o.dry)); err != nil || o.crds {
		return err
	}
	if objects, err = install.Others(o.config()); err != nil {
		return err
	}
	if err := target.TearDown(ctx, objects, o.dry, changes(out, o.dry)); err != nil || o.dry {
		return err
	}
	if err := o.await(ctx, target, cmd.ErrOrStderr()); err != nil {
		return err
	}
	fmt.Fprintf(out, "davit runs in namespace %s (%s, %s)\n", o.namespace, o.overlay, o.image)
	return o.next(ctx, target, out, places)
}

// complete takes what the flags leave out from the controller that is installed already.
func (o *installOptions) complete(ctx context.Context, cmd *cobra.Command, target *cluster.Cluster) error {
	if o.crds {
		return nil
	}
	image, annotations, err := target.Deployed(ctx, o.namespace, "davit")
	if err != nil {
		return err
	}
	if has := annotations[install.Annotation]; has != "" && !cmd.Flags().Changed("overlay") {
		o.overlay = has
	}
	if o.image == "" && image != install.Unnamed {
		o.image = image
	}
	if o.image == "" && !o.dry {
		return usage{errors.New("which image should the controller run? Push one with make image TO=registry.example.com/davit:v1 and pass --image registry.example.com/davit:v1; davit sync needs davit install --crds only")}
	}
	return nil
}

// changes prints a line for each object.
func changes(out io.Writer, dry bool) func(string, cluster.Change) {
	would := ""
	if dry {
		would = " (dry run)"
	}
	return func(namespace string, c cluster.Change) {
		line := c.Ref.String()
		if namespace != "" {
			line += " in " + namespace
		}
		line += fmt.Sprintf(" %s%s", c.Action, would)
		if len(c.From) > 0 && c.Action == cluster.Configured {
			line += "; fields taken back from " + strings.Join(c.From, ", ")
		}
		fmt.Fprintln(out, plainLines(line))
	}
}

// await waits for the controller and says on stderr for what.
func (o *installOptions) await(ctx context.Context, target *cluster.Cluster, stderr io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not after %s", o.timeout))
	defer cancel()
	err := target.Await(ctx, o.namespace, "davit", func(why string) { fmt.Fprintf(stderr, "waiting: %s\n", plainLines(why)) })
	if err != nil {
		return fmt.Errorf("%w; all is applied, and the same command goes on. Look with: kubectl -n %s describe pods -l app.kubernetes.io/name=davit", err, o.namespace)
	}
	return nil
}
