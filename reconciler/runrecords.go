package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// siteRuns is the ledger of one cluster: ConfigMaps, of which the API server makes each once. It may be used concurrently.
type siteRuns struct {
	r    *Reconciler
	site *site

	mu   sync.Mutex
	at   time.Time // when they were read
	runs map[string]gitops.Run
	in   map[string]string // the namespaces they are in
	// faulty are records that can't be read, by the beginning of their hash.
	faulty map[string]error
}

// readFor is for how long runs are as they were read: looks come by the hundred when a commit is followed, and a stale
// record harms none of them, since the API server decides about each claim and each change.
const readFor = time.Second

// siteAnswers is how long a cluster may take to tell its runs.
const siteAnswers = 15 * time.Second

// Runs are this registry's runs of the site's environments, without those whose record can't be read: [siteRuns.fault]. The
// map is not to be changed.
func (k *siteRuns) Runs(ctx context.Context) (map[string]gitops.Run, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.runs != nil && time.Since(k.at) < readFor {
		return k.runs, nil
	}
	now := time.Now()
	ctx, cancel := context.WithTimeout(ctx, siteAnswers)
	defer cancel()
	records, err := k.site.cluster.RunRecords(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("reading the runs that the cluster keeps: %w", err)
	}
	faulty := k.faulty
	k.at, k.runs, k.in, k.faulty = now, map[string]gitops.Run{}, map[string]string{}, map[string]error{}
	for _, record := range records {
		if record.Owner != k.r.cfg.Owner {
			continue
		}
		if k.take(record); k.faulty[record.Hash] != nil && faulty[record.Hash] == nil {
			k.r.cfg.Log.Warn("a run is not looked after", "error", k.faulty[record.Hash])
		}
	}
	return k.runs, nil
}

// take adds a record. One in another namespace than its environment's is that of an environment that moved, or forged by
// whoever may write there; while runs are claimed in Git it keeps nothing from running. It needs k.mu.
func (k *siteRuns) take(record cluster.RunRecord) {
	run, err := decodeRecord(record)
	if err != nil {
		k.faulty[record.Hash] = err
		return
	}
	at := record.Namespace == k.namespace(run.Environment)
	_, twice := k.runs[run.Hash]
	if k.r.site(run.Environment) == k.site && (at || !twice && k.r.runs.weak.Load()) {
		k.runs[run.Hash], k.in[run.Hash] = run, record.Namespace
	}
}

// fault says why a run's record can't be read; nothing is known of the run then.
func (k *siteRuns) fault(hash string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.faulty[hash[:40]]
}

func decodeRecord(r cluster.RunRecord) (gitops.Run, error) {
	run, err := gitops.DecodeRun(r.Data)
	if err == nil && !strings.HasPrefix(run.Hash, r.Hash) {
		err = fmt.Errorf("it is of the run %s", run.Hash)
	}
	if err != nil {
		return run, fmt.Errorf("%s: %w; mend it, or remove it, which has its spec run again", r.Where, err)
	}
	return run, nil
}

// namespace is that of an environment, "" of one that is gone.
func (k *siteRuns) namespace(environment string) string {
	want := k.r.wanted(environment)
	if want == nil || want.models.Environments[environment] == nil {
		return ""
	}
	return want.models.Environments[environment].Spec.Namespace
}

// ClaimRun claims a run in its environment's namespace.
func (k *siteRuns) ClaimRun(ctx context.Context, run gitops.Run) (gitops.Run, bool, error) {
	claim, err := run.Claim()
	var data []byte
	if err == nil {
		data, err = claim.Encode()
	}
	namespace := k.namespace(run.Environment)
	if err == nil && namespace == "" {
		err = errors.New("its environment is gone")
	}
	if err != nil {
		return gitops.Run{}, false, fmt.Errorf("claiming run %s: %w", run.Name, err)
	}
	record, mine, err := k.site.cluster.ClaimRunRecord(ctx, cluster.RunRecord{Namespace: namespace, Hash: run.Hash, Data: data})
	if err != nil {
		return gitops.Run{}, false, fmt.Errorf("claiming run %s in the cluster: %w", run.Name, err)
	}
	return k.keep(record, mine)
}

// RecordRun replaces a record, by the rules of Git's ledger.
func (k *siteRuns) RecordRun(ctx context.Context, run gitops.Run, from ...gitops.RunState) (gitops.Run, error) {
	k.mu.Lock()
	namespace := k.in[run.Hash]
	k.mu.Unlock()
	record, err := k.site.cluster.ChangeRunRecord(ctx, namespace, run.Hash, func(data []byte) ([]byte, error) {
		now, err := gitops.DecodeRun(data)
		if err != nil {
			return nil, err
		}
		next, err := run.Follows(now, from...)
		if err != nil {
			return nil, err
		}
		return next.Encode()
	})
	if err != nil {
		now, _ := gitops.DecodeRun(record.Data)
		return now, fmt.Errorf("recording run %s as %s in the cluster: %w", run.Name, run.State, err)
	}
	now, _, err := k.keep(record, false)
	return now, err
}

// keep takes over what a write made.
func (k *siteRuns) keep(record cluster.RunRecord, mine bool) (gitops.Run, bool, error) {
	run, err := decodeRecord(record)
	if err != nil {
		return run, false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = time.Time{}
	if k.in == nil {
		k.in = map[string]string{}
	}
	k.in[run.Hash] = record.Namespace // maps that callers hold are runs alone
	return run, mine, nil
}
