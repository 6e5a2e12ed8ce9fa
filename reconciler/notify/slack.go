package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// Secret reads what a receiver is reached by, anew each time: url, and where it has them token and hmacKey.
type Secret func(ctx context.Context) (map[string]string, error)

// slackBatch is how many messages go into one post; Slack shows no more than that well.
const slackBatch = 20

// Slack sends to an incoming webhook of Slack's kind: attachments are what Mattermost, Rocket.Chat and Discord's /slack
// read too. Fills Send and Batch.
func Slack(secret Secret) (send func(context.Context, []Message) error, batch int) {
	return func(ctx context.Context, messages []Message) error {
		s, err := secret(ctx)
		if err != nil {
			return err
		}
		var body struct {
			Attachments []attachment `json:"attachments"`
		}
		for _, m := range messages {
			body.Attachments = append(body.Attachments, attach(m))
		}
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		return post(ctx, s["url"], http.Header{"Content-Type": {"application/json"}}, data)
	}, slackBatch
}

// attachment is one message. https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
type attachment struct {
	Fallback string   `json:"fallback"`
	Color    string   `json:"color"`
	Title    string   `json:"title"`
	Link     string   `json:"title_link,omitempty"`
	Text     string   `json:"text,omitempty"`
	Footer   string   `json:"footer,omitempty"`
	Time     int64    `json:"ts,omitempty"`
	Markdown []string `json:"mrkdwn_in"`
}

var colors = map[string]string{
	Healthy: "#2eb67d", TrainingSucceeded: "#2eb67d", Failed: "#d72b3f", TrainingFailed: "#d72b3f", RolledBack: "#ecb22e", Held: "#ecb22e",
}

func attach(m Message) attachment {
	a := attachment{
		Fallback: escape(m.title()), Title: escape(m.title()), Link: m.URL, Text: escape(clip(m.why(), 600)), Color: colors[m.State],
		Time: m.At.Unix(), Markdown: []string{},
	}
	if a.Color == "" {
		a.Color = "#36c5f0"
	}
	var foot []string
	for _, part := range []string{m.Registry, m.Revision, name(m.Author)} {
		if part != "" {
			foot = append(foot, part)
		}
	}
	a.Footer = escape(strings.Join(foot, " · "))
	return a
}

// name is an author without the address.
func name(author string) string {
	name, _, _ := strings.Cut(author, " <")
	return name
}

// escape keeps text from being read as a link, a mention or an entity.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// clip shortens a text to so many bytes.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
