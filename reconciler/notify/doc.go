// Package notify tells people and other programs what comes of releases and trainings: by a Slack-compatible webhook, as
// CloudEvents over HTTP, or as a comment at the registry's forge. It knows nothing of Kubernetes and of how a release is
// judged: it is handed Messages, after they are recorded elsewhere.
//
// A message is sent once to each receiver that takes it in, and again where the receiver's answer was lost. It lives in
// memory alone: what a process did not bring out before it ended is lost, as is what a receiver refused or did not take
// within some minutes. None of it ever holds up who hands messages over.
package notify
