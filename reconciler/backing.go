package reconciler

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/credentials"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// committer is who a ModelRegistry has davit commit as.
func (cfg ControllerConfig) committer(ctx context.Context, mr *v1alpha1.ModelRegistry) (gitops.Author, error) {
	author := gitops.Davit()
	spec := mr.Spec.Committer
	if spec == nil {
		return author, nil
	}
	author.Name, author.Email = cmp.Or(spec.Name, author.Name), cmp.Or(spec.Email, author.Email)
	if spec.SigningKey == nil {
		return author, nil
	}
	data, err := cfg.Cluster.Secret(ctx, mr.Namespace, spec.SigningKey.Secret, spec.SigningKey.Key)
	if err != nil {
		return author, err
	}
	if author.Key, err = gitops.ParseKey(data); err != nil {
		return author, fmt.Errorf("committer.signingKey: %w", err)
	}
	return author, nil
}

// backs gives a Config what a ModelRegistry says of writing to Git and its forge.
func (cfg ControllerConfig) backs(ctx context.Context, mr *v1alpha1.ModelRegistry, access *credentials.Credentials, log *slog.Logger, to *Config) error {
	author, err := cfg.committer(ctx, mr)
	if err != nil {
		return err
	}
	to.Name = owner(mr)
	if mr.Spec.Outcomes != "Cluster" {
		to.Notes, to.Committer = to.Source.NewNotes(author, log), &author
	}
	spec := mr.Spec.Forge
	if spec == nil {
		return nil
	}
	token := cfg.forgeToken(mr, access)
	if _, err := token(ctx); err != nil {
		return fmt.Errorf("forge: %w", err)
	}
	to.Forge, err = forge.New(forge.Config{
		Kind: spec.Kind, URL: spec.URL, Repository: mr.Spec.URL, Branch: to.Source.Branch(), Log: log,
		Token: token, Client: &http.Client{Timeout: forgeTimeout, Transport: to.Source.HTTP()},
	})
	return err
}

// lookAtNotes is how often the ModelRegistry's status is held against whether outcomes reach Git.
const lookAtNotes = 5 * time.Second

// tellRecorded keeps the ModelRegistry's condition Recorded until stop is called.
func (cfg ControllerConfig) tellRecorded(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, notes *gitops.Notes) (stop func()) {
	if notes == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(lookAtNotes)
		defer tick.Stop()
		told := "not told yet"
		for {
			if trouble := notes.Trouble(); trouble != told {
				told = trouble
				cfg.recorder.Recorded(trouble == "")
				c := metav1.Condition{Type: v1alpha1.ConditionRecorded, Status: metav1.ConditionTrue, Reason: v1alpha1.ConditionRecorded, ObservedGeneration: mr.Generation}
				if trouble != "" {
					c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Degraded", trouble
				}
				cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) { setCondition(&st.Conditions, c) })
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		looking.Wait()
	}
}

// hook receives the webhooks of a ModelRegistry for as long as it is followed, where its Secret has a key for them.
func (cfg ControllerConfig) hook(mr *v1alpha1.ModelRegistry, source *gitops.Source, log *slog.Logger) (remove func()) {
	if cfg.Hook == nil || mr.Spec.Forge == nil {
		return func() {}
	}
	key := &kept{read: func() ([]byte, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return cfg.Cluster.Secret(ctx, mr.Namespace, mr.Spec.Forge.Secret, "webhook")
	}}
	stop := cfg.secrets.on([]string{mr.Spec.Forge.Secret}, key.forget)
	unhook := cfg.Hook(mr.Name, cfg.recorder.Deliveries(forge.Webhook(forge.WebhookConfig{
		Secret: key.all, Log: log, Pushed: source.Pushed,
	})))
	return func() {
		stop()
		unhook()
	}
}

// kept is a secret that is read again after a while: strangers' requests may not become requests of the API server.
type kept struct {
	read  func() ([]byte, error)
	mu    sync.Mutex
	at    time.Time
	value []byte
}

// secretAge is how old a webhook's secret may be.
const secretAge = 30 * time.Second

// forget has it read again.
func (k *kept) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = time.Time{}
}

func (k *kept) all() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.at) > secretAge {
		k.at = time.Now()
		value, err := k.read()
		if k.value = bytes.TrimSpace(value); err != nil {
			k.value = nil // it may have been taken away
		}
	}
	if len(k.value) == 0 {
		return nil
	}
	return [][]byte{k.value}
}
