package controller

import (
	"context"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
)

// receive receives webhooks on a loopback port, as davit controller --webhook does, until stop is called.
func receive(ctx context.Context, secret string, source *gitops.Source) (url string, stop func(), err error) {
	return listen(ctx, forge.Webhook(forge.WebhookConfig{
		Secret: func() [][]byte { return [][]byte{[]byte(secret)} },
		Pushed: source.Pushed,
	}))
}
