package fleet

import (
	"regexp"
	"strings"
)

// Link is a word of a commit's subject that names something on the registry's forge, and where that is.
type Link struct {
	Text string `json:"text"`
	URL  string `json:"url"`
}

// mostLinks bounds them: a subject has any length.
const mostLinks = 10

// mentions are the words that may name something on a forge: an address, #12, !12, group/project!12.
var mentions = regexp.MustCompile(`https?://[^\s<>"'()\[\]]+|(?:[\w.~-]+(?:/[\w.~-]+)+)?[#!][0-9]{1,9}\b`)

// links are those of a subject, in its order. What is not on the registry's own forge is none.
func (l *look) links(subject string) (out []Link) {
	for _, at := range mentions.FindAllStringIndex(subject, -1) {
		word := strings.TrimRight(subject[at[0]:at[1]], ".,;:!?")
		if at[0] > 0 && wordly(subject[at[0]-1]) || len(out) == mostLinks {
			continue
		}
		if url := l.MentionURL(word); url != "" {
			out = append(out, Link{word, url})
		}
	}
	return out
}

// wordly says that what comes after a byte goes on with its word.
func wordly(b byte) bool {
	return b >= 0x80 || b == '_' || b == '/' || b == '&' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
