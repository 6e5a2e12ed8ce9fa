package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The ConfigMaps that keep runs where Git does not: one for each run, in its environment's namespace.
const (
	LabelRunLedger = "davit.dev/run-ledger"
	runLedgerOwner = "davit.dev/owner"
	runRecordFile  = "run.json"
	runRecordName  = "davit-run-" // and the first 40 digits of its hash, as many as fit beside it into a label
)

// RunRecord is a run's record as its ConfigMap has it.
type RunRecord struct {
	Namespace string
	// Hash is the run's. One that was read has its first 40 digits.
	Hash string
	// Owner is the registry whose run it is.
	Owner string
	// Data is what this package does not read.
	Data []byte
	// Where names the ConfigMap, for people.
	Where string
}

// RunRecords reads the records of a namespace, or of all the Config's namespaces when it is empty. It is davit's own user
// who reads.
func (c *Cluster) RunRecords(ctx context.Context, namespace string) (all []RunRecord, err error) {
	namespaces := c.namespaces
	if namespace != "" {
		namespaces = []string{namespace}
	}
	for _, ns := range namespaces {
		err := pages(ctx, "run records", func(ctx context.Context, o metav1.ListOptions) (*corev1.ConfigMapList, error) {
			o.LabelSelector = LabelRunLedger
			return c.typed.CoreV1().ConfigMaps(ns).List(ctx, o)
		}, func(list *corev1.ConfigMapList) {
			for i := range list.Items {
				all = append(all, runRecord(&list.Items[i]))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func runRecord(m *corev1.ConfigMap) RunRecord {
	return RunRecord{
		Namespace: m.Namespace, Hash: strings.TrimPrefix(m.Name, runRecordName), Owner: m.Annotations[runLedgerOwner],
		Data: []byte(m.Data[runRecordFile]), Where: "ConfigMap " + m.Namespace + "/" + m.Name,
	}
}

// ClaimRunRecord writes a run's first record, which one process alone succeeds with: true says that it was this one, and else
// there is the record that is there. One of another owner is an [ErrOtherOwner], unless the Config takes over. The ConfigMap
// has no owner in the cluster: the record outlives the run's Job. The namespace is made where it is missing.
func (c *Cluster) ClaimRunRecord(ctx context.Context, r RunRecord) (there RunRecord, claimed bool, err error) {
	if c.owner == "" {
		return there, false, errNoOwner
	}
	if err := c.EnsureNamespace(ctx, r.Namespace); err != nil {
		return there, false, err
	}
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Namespace, Name: runRecordName + r.Hash[:40],
			Labels: map[string]string{LabelRunLedger: "true"}, Annotations: map[string]string{runLedgerOwner: c.owner},
		},
		Data: map[string]string{runRecordFile: string(r.Data)},
	}
	err = c.write(ctx, func() error {
		m, err = c.as.typed.CoreV1().ConfigMaps(r.Namespace).Create(ctx, m, metav1.CreateOptions{FieldManager: Manager})
		return err
	})
	switch {
	case err == nil:
		return runRecord(m), true, nil
	case !apierrors.IsAlreadyExists(err):
		return there, false, err
	}
	// It is there, so it is written again only for another owner's name on it.
	there, err = c.ChangeRunRecord(ctx, r.Namespace, r.Hash, func(now []byte) ([]byte, error) { return now, nil })
	return there, false, err
}

// ChangeRunRecord replaces a record by what change makes of it, and change again of what another process wrote meanwhile.
// It returns the record that is there then, also with an error of change's. One that is gone is an error.
func (c *Cluster) ChangeRunRecord(ctx context.Context, namespace, hash string, change func(now []byte) ([]byte, error)) (RunRecord, error) {
	name := runRecordName + hash[:40]
	for {
		m, err := c.as.typed.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return RunRecord{}, err
		}
		there := runRecord(m)
		if _, ours := m.Labels[LabelRunLedger]; !ours {
			return there, fmt.Errorf("%s has no label %s; remove it if it is no run's record", there.Where, LabelRunLedger)
		}
		foreign := c.owner != "" && there.Owner != c.owner
		if foreign && !c.takeOver {
			return there, fmt.Errorf("%s: %w", there.Where, &ErrOtherOwner{Owner: there.Owner})
		}
		next, err := change(there.Data)
		if err != nil || bytes.Equal(next, there.Data) && !foreign {
			return there, err
		}
		m.Data = map[string]string{runRecordFile: string(next)}
		if foreign {
			metav1.SetMetaDataAnnotation(&m.ObjectMeta, runLedgerOwner, c.owner)
		}
		err = c.write(ctx, func() error { // with the resourceVersion that was read
			m, err = c.as.typed.CoreV1().ConfigMaps(namespace).Update(ctx, m, metav1.UpdateOptions{FieldManager: Manager})
			return err
		})
		if err == nil {
			return runRecord(m), nil
		}
		if !apierrors.IsConflict(err) {
			return there, err
		}
	}
}
