package devcluster

// kueueManager is Kueue's. With the certificate management of its own switched off, it would read another certificate, for
// its metrics, from a folder of the root file system; so it is on, has a Secret to keep a certificate in that nothing
// serves, and the name of a Service that makes it look for webhooks which are not ours. Its visibility server would need an
// APIService.
var kueueManager = &manager{
	part: PartKueue, binary: "kueue", config: "config.kueue.x-k8s.io/v1beta1", webhooks: "config/components/webhook",
	groups: []string{"kueue.x-k8s.io", "batch", "jobset.x-k8s.io"},
	secret: "kueue-system/kueue-webhook-server-cert",
	settings: map[string]any{
		"internalCertManagement":     map[string]any{"enable": true, "webhookServiceName": "unused-webhook-service", "webhookSecretName": "kueue-webhook-server-cert"},
		"manageJobsWithoutQueueName": false,
		"integrations":               map[string]any{"frameworks": []string{"batch/job", "jobset.x-k8s.io/jobset"}},
		"featureGates":               map[string]any{"VisibilityOnDemand": false},
	},
}
