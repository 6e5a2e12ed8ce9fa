package plan

import (
	"regexp"
	"strings"
	"unicode"
)

// What comes from files is put into Markdown as code, but for plain words: in code no forge makes a link of an address, a
// mention of @name, a reference of #1 or !1 or GH-1 or a commit's hash, nor an element or image of anything. Escapes would
// not do: forges look for mentions and addresses in the text after it was parsed, in which the escapes are gone.

// code is a text on one line, as code. The fence is longer than any in it.
func code(s string) string {
	s = clean(s)
	if s == "" {
		return "` `"
	}
	fence := strings.Repeat("`", longest(s, '`')+1)
	if s[0] == '`' || s[len(s)-1] == '`' || s[0] == ' ' || s[len(s)-1] == ' ' {
		s = " " + s + " "
	}
	return fence + s + fence
}

// longest is the length of the longest run of a character.
func longest(s string, of rune) (most int) {
	n := 0
	for _, r := range s {
		if n++; r != of {
			n = 0
		}
		most = max(most, n)
	}
	return most
}

// prose is a sentence in which everything but plain words is code.
func prose(s string) string {
	var out, odd []string // odd are words that go into one code
	flush := func(end string) {
		if len(odd) > 0 {
			out, odd = append(out, code(strings.Join(odd, " "))+end), nil
		}
	}
	words := strings.Fields(clean(s))
	for i := 0; i < len(words); i++ {
		if n := command(words[i:]); n > 0 {
			flush("")
			text := strings.Join(words[i:i+n], " ")
			core := strings.TrimRight(text, ",;:.")
			out = append(out, code(core)+text[len(core):])
			i += n - 1
			continue
		}
		word := words[i]
		core := strings.TrimRight(word, ",;:.")
		end := word[len(core):]
		begin := ""
		if len(core) > 1 && core[0] == '(' {
			begin, core = "(", core[1:]
		}
		if len(core) > 1 && core[len(core)-1] == ')' && !strings.Contains(core, "(") {
			core, end = core[:len(core)-1], ")"+end
		}
		if isPlain(core) {
			flush("")
			out = append(out, begin+core+end)
			continue
		}
		if begin != "" {
			flush("")
		}
		if odd = append(odd, core); end != "" || begin != "" {
			flush(end)
			out[len(out)-1] = begin + out[len(out)-1]
		}
	}
	flush("")
	return strings.Join(out, " ")
}

// command is how many words, up to the end of a part of the sentence, are one of davit's commands.
func command(words []string) int {
	if len(words) < 2 || words[0] != "davit" || !commandName.MatchString(words[1]) {
		return 0
	}
	for i, word := range words {
		if i > 0 && strings.ContainsAny(word[len(word)-1:], ",;:") {
			return i + 1
		}
	}
	return len(words)
}

var commandName = regexp.MustCompile(`^[a-z]+[,;:.]?$`)

// numeral is a number that begins no list.
var numeral = regexp.MustCompile(`^[+-]?[0-9]{1,6}(\.[0-9]{1,6})?%?$`)

var hash = regexp.MustCompile(`[0-9a-fA-F]{7,}`)

// isPlain says that a word means itself everywhere, also with a mark behind it: www begins an address with a full stop.
func isPlain(word string) bool {
	if strings.HasSuffix(strings.ToLower(word), "www") {
		return false
	}
	return numeral.MatchString(word) || word != "" && !hash.MatchString(word) && !strings.ContainsFunc(word, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(`"'→×–…,`, r)
	})
}

// cell is prose in a table, where a bar ends the cell even in code, and a backslash before it may not help.
func cell(s string) string { return prose(strings.ReplaceAll(cut(s), "|", "¦")) }

// fenced is a block of code that nothing in it can end. Each line begins with what marks it, so none is a command to a forge.
func fenced(lines []string) string {
	fence := "```"
	for _, l := range lines {
		if n := longest(l, '`'); n >= len(fence) {
			fence = strings.Repeat("`", n+1)
		}
	}
	return fence + "diff\n" + strings.Join(lines, "\n") + "\n" + fence + "\n"
}

// Code is a text on one line as code in Markdown, in which no forge finds an element, a mention or a reference. In a table
// a bar in it still ends the cell.
func Code(s string) string { return code(s) }
