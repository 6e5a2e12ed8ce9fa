package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
)

// uninstallOptions are the flags of uninstall.
type uninstallOptions struct {
	namespace    string
	keep, delete bool
	dry          bool
}

func uninstallCommand(a *app) *cobra.Command {
	o := &uninstallOptions{}
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the controller out of the cluster, and what it deployed if you say so",
		Long: "Ends the controller, then keeps or deletes what it deployed, and takes away its roles and CRDs. Namespaces,\n" +
			"Secrets in davit's, and volumes of trainings stay. The registry in Git is not touched. It works as well\n" +
			"when the controller is gone already, and may be called again.",
	}
	f := c.Flags()
	f.StringVar(&o.namespace, "namespace", install.Namespace, "the controller's namespace")
	f.BoolVar(&o.keep, "keep-workloads", false, "leave the releases' objects and the runs of trainings as they are")
	f.BoolVar(&o.delete, "delete-workloads", false, "delete the releases' objects and the runs of trainings")
	f.BoolVar(&o.dry, "dry-run", false, "change nothing and print what would go")
	c.MarkFlagsMutuallyExclusive("keep-workloads", "delete-workloads")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if !o.keep && !o.delete {
			return usage{errors.New("say what becomes of the models that run: --keep-workloads leaves them serving, --delete-workloads deletes them; add --dry-run to see what would go")}
		}
		target, err := a.cluster(cmd.Context())
		if err != nil {
			return err
		}
		return o.run(cmd.Context(), target, cmd.OutOrStdout())
	}
	return c
}

// run goes from the controller, which would bring back what is deleted, to the CRDs, which the rest is found by.
func (o *uninstallOptions) run(ctx context.Context, target *cluster.Cluster, out io.Writer) error {
	tell := changes(out, o.dry)
	all, err := install.Controller(install.Config{Overlay: install.HighlyAvailable, Namespace: o.namespace})
	if err != nil {
		return err
	}
	p := partsOf(all)
	if err := target.TearDown(ctx, p.controller, o.dry, tell); err != nil {
		return err
	}
	held, err := target.Holdings(ctx, o.namespace)
	if err != nil {
		return err
	}
	if o.delete {
		err = o.workloads(ctx, target, held, tell)
	} else {
		err = target.Forget(ctx, held, o.dry, tell)
	}
	if err != nil {
		return err
	}
	for _, namespace := range held.Namespaces {
		objects, err := install.Environment(install.Config{Overlay: install.MultiTenant, Namespace: o.namespace}, namespace)
		if err == nil {
			err = target.TearDown(ctx, objects, o.dry, tell)
		}
		if err != nil {
			return fmt.Errorf("namespace %s: %w", namespace, err)
		}
	}
	if held.Others > 0 {
		fmt.Fprintf(out, "the CRDs and cluster roles stay: %d ModelReleases and ModelRegistries are another davit's\n", held.Others)
	} else if err := target.TearDown(ctx, p.shared, o.dry, tell); err != nil {
		return err
	}
	if err := target.TearDown(ctx, p.own, o.dry, tell); err != nil {
		return err
	}
	o.left(out, held)
	return nil
}

// workloads deletes what the releases and trainings of this davit hold.
func (o *uninstallOptions) workloads(ctx context.Context, target *cluster.Cluster, held *cluster.Holdings, tell func(string, cluster.Change)) error {
	if err := target.DeleteHeld(ctx, held, o.dry, tell); err != nil {
		return err
	}
	return target.Forget(ctx, held, o.dry, tell)
}

// left says what is not gone.
func (o *uninstallOptions) left(out io.Writer, held *cluster.Holdings) {
	if len(held.Elsewhere) > 0 {
		fmt.Fprintf(out, "in other clusters, and left there: environments %s; davit uninstall --context NAME takes them from each\n", strings.Join(held.Elsewhere, ", "))
	}
	verb := "is out of the cluster"
	if o.dry {
		verb = "would be out of the cluster"
	}
	what := "what it deployed goes on without it"
	if o.delete {
		what = "so is what it deployed"
	}
	fmt.Fprintf(out, "davit %s, %s; its namespace stays, with the Secrets in it: kubectl delete namespace %s\n", verb, what, o.namespace)
}

// parts are an installation's objects: the controller, what all davits of the cluster share, and what else is its own.
type parts struct{ controller, shared, own []*unstructured.Unstructured }

func partsOf(all []*unstructured.Unstructured) (p parts) {
	for _, o := range all {
		switch {
		case o.GetKind() == "Deployment":
			p.controller = append(p.controller, o)
		case o.GetNamespace() == "":
			p.shared = append(p.shared, o)
		default:
			p.own = append(p.own, o)
		}
	}
	return p
}
