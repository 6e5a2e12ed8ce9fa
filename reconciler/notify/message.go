package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// The states that are told of.
const (
	Healthy           = "Healthy"
	Failed            = "Failed"
	RolledBack        = "RolledBack"
	Held              = "Held"
	Waiting           = "Waiting"
	Pinned            = "Pinned"
	Proposed          = "Proposed"
	TrainingSucceeded = "TrainingSucceeded"
	TrainingFailed    = "TrainingFailed"
)

// urgent are the states of a receiver that names none.
var urgent = []string{Failed, RolledBack, Held, TrainingFailed}

// Message is one thing that came of a release or a training. It holds nothing that a container wrote.
type Message struct {
	// Registry is "namespace/name" of the ModelRegistry.
	Registry string `json:"registry"`
	// Environment, and Release in it or Training ("model/name").
	Environment string `json:"environment"`
	Release     string `json:"release,omitempty"`
	Training    string `json:"training,omitempty"`
	State       string `json:"state"`
	Model       string `json:"model,omitempty"`
	// Version is what it is about, From what served before, Serves what serves instead of what failed.
	Version string `json:"version,omitempty"`
	From    string `json:"from,omitempty"`
	Serves  string `json:"serves,omitempty"`
	Image   string `json:"image,omitempty"`
	// Commit is the full hash, Revision its short form with the branch, Author who wrote it.
	Commit   string `json:"commit,omitempty"`
	Revision string `json:"revision,omitempty"`
	Author   string `json:"author,omitempty"`
	// Reason is one CamelCase word, Text a sentence, By the person who asked for it.
	Reason string `json:"reason,omitempty"`
	Text   string `json:"message,omitempty"`
	By     string `json:"by,omitempty"`
	// URL is where people see it: a pull request, or the commit at the forge.
	URL string    `json:"url,omitempty"`
	At  time.Time `json:"-"`
}

// Subject is what it is about: "production/iris", or "staging/iris/softmax" for a training.
func (m Message) Subject() string {
	if m.Release != "" {
		return m.Environment + "/" + m.Release
	}
	return m.Environment + "/" + m.Training
}

// ID is the same whoever tells of it, and again: receivers know by it what they have.
func (m Message) ID() string {
	parts := []string{m.Registry, m.Subject(), m.State, m.Commit, m.Version, m.At.UTC().Format(time.RFC3339)}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// title is what and where, in some words.
func (m Message) title() string {
	version := m.Version
	if m.From != "" && m.From != m.Version {
		version = m.From + " → " + m.Version
	}
	switch subject := m.Subject(); m.State {
	case Healthy:
		return subject + " is healthy at " + version
	case Failed:
		return subject + " failed at " + version
	case RolledBack:
		return subject + ": " + m.Version + " was rolled back to " + m.Serves
	case Held:
		return subject + ": " + m.Version + " is held, " + m.Serves + " goes on serving"
	case Waiting:
		return subject + " waits"
	case Pinned:
		return subject + " was pinned to " + m.Serves + " in place of " + m.Version
	case Proposed:
		return subject + ": " + m.Text
	case TrainingSucceeded:
		return subject + " made a model"
	case TrainingFailed:
		return subject + " failed"
	default:
		return subject + " " + m.State
	}
}

// why is the reason and the sentence that explain the title.
func (m Message) why() string {
	text := m.Text
	if m.State == Proposed {
		text = "" // the title
	}
	var parts []string
	for _, part := range []string{m.Reason, text} {
		if part != "" && part != m.State {
			parts = append(parts, part)
		}
	}
	why := strings.Join(parts, ": ")
	if m.By != "" {
		why = strings.TrimPrefix(why+" (by "+m.By+")", " ")
	}
	return why
}
