// Package notify tells people and other programs what comes of releases and trainings: by a Slack-compatible webhook, as
// CloudEvents over HTTP, or as a comment at the registry's forge. It knows nothing of Kubernetes and of how a release is
// judged: it is handed Messages, after they are recorded elsewhere.
//
// A message is sent at most once to each receiver that takes it in: it lives in memory alone, and what a process did not
// bring out before it ended is lost, as is what a receiver refused or did not take within some minutes. None of it ever
// holds up who hands messages over.
package notify
