package metrics

import "github.com/prometheus/client_golang/prometheus"

// series are all of davit's metrics.
type series struct {
	build, leader *prometheus.GaugeVec

	// Of a registry.
	followed, lastLook, interval, commitTime, recorded *prometheus.GaugeVec
	fetches                                            *prometheus.HistogramVec
	fetchFailures, deliveries, notifications           *prometheus.CounterVec

	// Of an environment's releases.
	toApplied, toHealthy                              *prometheus.HistogramVec
	outcomes, rollbacks, retries                      *prometheus.CounterVec
	driftFound, driftCorrected, driftFights           *prometheus.CounterVec
	promotions                                        *prometheus.CounterVec
	images                                            *prometheus.CounterVec
	imageSeconds                                      *prometheus.HistogramVec
	imageRead, imageUploaded                          *prometheus.CounterVec
	runs                                              *prometheus.CounterVec
	runSeconds                                        *prometheus.HistogramVec
	apiRequests                                       *prometheus.CounterVec
	apiSeconds                                        *prometheus.HistogramVec
	releases, gpus, queue, oldest, activeRuns, infoOf *prometheus.Desc
}

// define makes them. Times of a rollout go from what a small change takes to where somebody must have been told.
func (m *Metrics) define() {
	rollout := []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600}
	request := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	long := []float64{1, 10, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600}
	m.build = m.gauge("davit_build_info", "1, with the version of davit and of Go.", "version", "goversion")
	m.leader = m.gauge("davit_leader", "1 for the replica that leads, 0 for one that stands by. davit sync always leads.")
	m.defineRegistry(request)
	m.defineReleases(rollout)
	m.images = m.counter("davit_image_builds_total", "Model images that were asked for: built, found where they were before, or failed.", "registry", "environment", "result")
	m.imageSeconds = m.histogram("davit_image_build_seconds", "Time to build and upload a model image, of those that were built.", []float64{.1, 1, 5, 15, 60, 300, 900, 1800, 3600, 3 * 3600, 12 * 3600}, "registry", "environment")
	m.imageRead = m.counter("davit_image_read_bytes_total", "Bytes read from the sources of model files, retries included.", "registry", "environment")
	m.imageUploaded = m.counter("davit_image_uploaded_bytes_total", "Bytes uploaded to OCI registries for model images, retries included.", "registry", "environment")
	m.runs = m.counter("davit_training_runs_total", "Training runs that came to a state: Claimed, Started, Succeeded, Failed, Canceled or Lost.", "registry", "environment", "state")
	m.runSeconds = m.histogram("davit_training_run_seconds", "Time from the start of a training run to its end, by the state it ended in.", long, "registry", "environment", "state")
	m.activeRuns = m.read("davit_training_runs_active", "Training runs under way.", "registry", "environment")
	m.apiRequests = m.counter("davit_api_requests_total", "Requests to the API servers of all clusters, by verb, resource and status code (\"error\" where none came).", "verb", "resource", "code")
	m.apiSeconds = m.histogram("davit_api_request_duration_seconds", "Time until the API server began to answer.", request, "verb", "resource")
}

func (m *Metrics) defineRegistry(request []float64) {
	m.followed = m.gauge("davit_registry_followed", "1 when the newest commit that was seen is followed by all environments, 0 when it can't be; the ModelRegistry's condition Ready says why.", "registry")
	m.lastLook = m.gauge("davit_registry_last_look_timestamp_seconds", "When the Git repository was looked at last with success, in Unix time.", "registry")
	m.interval = m.gauge("davit_registry_interval_seconds", "How often the Git repository is looked at; 0 where the spec leaves it at 10s.", "registry")
	m.commitTime = m.gauge("davit_registry_commit_timestamp_seconds", "When the commit that is followed was made, in Unix time.", "registry")
	m.recorded = m.gauge("davit_registry_outcomes_recorded", "1 when outcomes reach Git, 0 when they wait.", "registry")
	m.fetches = m.histogram("davit_git_fetch_duration_seconds", "Time of a look at the Git repository, with the fetch of what is new.", append(request, 30, 60, 300), "registry")
	m.fetchFailures = m.counter("davit_git_fetch_failures_total", "Looks at the Git repository that failed.", "registry")
	m.deliveries = m.counter("davit_webhook_deliveries_total", "Webhooks received, by what became of them: accepted, refused (not signed by the secret) or invalid.", "registry", "result")
	m.notifications = m.counter("davit_notifications_total", "Notifications sent, by kind of receiver and result: sent, failed (tried again) or dropped.", "registry", "kind", "result")
}

func (m *Metrics) defineReleases(rollout []float64) {
	m.toApplied = m.histogram("davit_commit_to_applied_seconds", "Time from when a commit was seen to when the last object of a release that it moves was applied, less what gates, freezes, quotas and waves kept it back.", rollout, "registry", "environment")
	m.toHealthy = m.histogram("davit_commit_to_healthy_seconds", "Time from when a commit was seen to when a release that it moves was healthy for the bake time, less what gates, freezes, quotas and waves kept it back.", rollout, "registry", "environment")
	m.releases = m.read("davit_releases", "Releases by phase: those of a ModelRelease, Pending (nothing of it is in the cluster yet) and Broken (a file of it has a fault).", "registry", "environment", "phase")
	m.infoOf = m.read("davit_release_info", "1 for each release with its version and phase. Only with --release-metrics: one series per release.", "registry", "environment", "release", "version", "phase")
	m.outcomes = m.counter("davit_release_outcomes_total", "Outcomes of revisions: Healthy, Failed, RolledBack, Superseded or Pinned.", "registry", "environment", "outcome")
	m.rollbacks = m.counter("davit_rollbacks_total", "Rollbacks, by who began them: davit, when a revision failed, or a person, with davit rollback.", "registry", "environment", "by")
	m.retries = m.counter("davit_release_retries_total", "Releases put on the queue again after an error.", "registry")
	m.queue = m.read("davit_queue_depth", "Releases that wait for a worker.", "registry")
	m.oldest = m.read("davit_queue_oldest_seconds", "How long the release has waited that waits longest for a worker; 0 when none does.", "registry")
	m.driftFound = m.counter("davit_drift_found_total", "Times that a release was found changed by somebody else.", "registry", "environment")
	m.driftCorrected = m.counter("davit_drift_corrected_total", "Times that such a change was undone.", "registry", "environment")
	m.driftFights = m.counter("davit_drift_fights_total", "Times that davit slowed down because somebody keeps undoing its corrections.", "registry", "environment")
	m.promotions = m.counter("davit_promotions_total", "Promotions by rule: proposed, merged or declined.", "registry", "environment", "result")
	m.gpus = m.read("davit_gpus_requested", "GPUs, or parts of one, that the applied releases and the training runs of an environment ask for at most; runs have no accelerator here.", "registry", "environment", "accelerator", "workload")
}
