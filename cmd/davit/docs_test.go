package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// docs are the pages that people read, less those that are written from the code.
func docs(t *testing.T) (pages []string) {
	t.Helper()
	pages = []string{"../../README.md", "../../deploy/environment/README.md"}
	more, err := filepath.Glob("../../deploy/docs/*.md")
	if err != nil || len(more) < 5 {
		t.Fatalf("pages %q, %v", more, err)
	}
	return append(pages, more...)
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fence = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$")
	span  = regexp.MustCompile("`([^`\n]+)`")
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// TestCommandsOfDocs: every davit command that a page shows is one, with flags that it has and as many arguments as it
// takes.
func TestCommandsOfDocs(t *testing.T) {
	seen := 0
	for _, page := range docs(t) {
		for _, words := range commandsOf(readPage(t, page)) {
			seen++
			if err := understood(words); err != nil {
				t.Errorf("%s: davit %s: %v", page, strings.Join(words, " "), err)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d commands were found", seen)
	}
	for _, wrong := range []string{"davit serve", "davit plan --fast", "davit promote staging/iris"} {
		if understood(commandsOf("`" + wrong + "`")[0]) == nil {
			t.Errorf("%s is understood", wrong)
		}
	}
}

// commandsOf are the words after davit of each command in blocks of code and in spans of it.
func commandsOf(text string) (all [][]string) {
	var lines []string
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		if block[1] == "" {
			lines = append(lines, typed(block[2])...)
		}
	}
	for _, code := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		lines = append(lines, code[1])
	}
	for _, line := range lines {
		for _, part := range regexp.MustCompile(`&&|\|\|`).Split(strings.TrimPrefix(strings.TrimSpace(line), "$ "), -1) {
			if words := shellWords(part); len(words) > 1 && words[0] == "davit" && words[1] != "COMMAND" {
				all = append(all, words[1:])
			}
		}
	}
	return all
}

// typed are the lines of a block that are commands: of a transcript those behind a prompt.
func typed(block string) []string {
	lines := strings.Split(block, "\n")
	if strings.HasPrefix(block, "$ ") || strings.Contains(block, "\n$ ") {
		return slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "$ ") })
	}
	return lines
}

var word = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)

// shellWords are a command's words, to where something else is done with it.
func shellWords(line string) (words []string) {
	for _, w := range word.FindAllString(line, -1) {
		if slices.Contains([]string{"|", ">", ";", "#"}, w) || strings.HasPrefix(w, "2>") {
			break
		}
		words = append(words, strings.NewReplacer(`'`, "", `"`, "").Replace(w))
	}
	return words
}

// understood says why a command line is wrong usage, without doing anything.
func understood(words []string) error {
	root := newRoot()
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	root.InitDefaultVersionFlag()
	root.InitDefaultCompletionCmd()
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	c.InitDefaultHelpFlag()
	if err := c.ParseFlags(rest); errors.As(err, new(*pflag.ValueRequiredError)) {
		return nil // the last one, which is spoken of
	} else if err != nil {
		return err
	}
	if len(c.Flags().Args()) == 0 {
		return nil // a command that is spoken of
	}
	return c.ValidateArgs(c.Flags().Args())
}

// TestLinksOfDocs: every link to a file or a heading of this repository leads somewhere.
func TestLinksOfDocs(t *testing.T) {
	generated, err := filepath.Glob("../../deploy/docs/reference/*.md")
	if err != nil || len(generated) != 4 {
		t.Fatalf("the reference is %q, %v", generated, err)
	}
	for _, page := range append(docs(t), generated...) {
		for _, l := range link.FindAllStringSubmatch(readPage(t, page), -1) {
			if why := dangling(t, page, l[1]); why != "" {
				t.Errorf("%s: link %s: %s", page, l[1], why)
			}
		}
	}
	if dangling(t, "../../README.md", "nowhere.md") == "" || dangling(t, "../../README.md", "#no-such-heading") == "" {
		t.Error("a broken link is not seen")
	}
}

// dangling says why a link leads nowhere; "" when it leads somewhere, or out of this repository.
func dangling(t *testing.T, page, target string) string {
	t.Helper()
	if strings.Contains(target, "://") {
		return ""
	}
	file, heading, _ := strings.Cut(target, "#")
	if file == "" {
		file = page
	} else {
		file = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(file); err != nil {
		return err.Error()
	}
	if heading != "" && !slices.Contains(headings(readPage(t, file)), heading) {
		return "no such heading"
	}
	return ""
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// headings are a page's anchors, as forges make them.
func headings(text string) (anchors []string) {
	for _, line := range strings.Split(fence.ReplaceAllString(text, ""), "\n") {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			title = notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			anchors = append(anchors, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return anchors
}

// TestTreesOfDocs: what kubectl is told to apply from a clone is there.
func TestTreesOfDocs(t *testing.T) {
	tree := regexp.MustCompile(`-k (?:\S*/)?(deploy/[\w/-]+)`)
	seen := 0
	for _, page := range docs(t) {
		for _, m := range tree.FindAllStringSubmatch(readPage(t, page), -1) {
			seen++
			if _, err := os.Stat("../../" + m[1] + "/kustomization.yaml"); err != nil {
				t.Errorf("%s: %s: %v", page, m[0], err)
			}
		}
	}
	if seen == 0 {
		t.Error("no page applies a tree")
	}
}

// TestManifestsOfDocs: what is YAML parses, and a ModelRegistry has no field that there is not.
func TestManifestsOfDocs(t *testing.T) {
	registries := 0
	for _, page := range docs(t) {
		for _, block := range fence.FindAllStringSubmatch(readPage(t, page), -1) {
			if block[1] != "yaml" {
				continue
			}
			for _, document := range strings.Split(block[2], "\n---\n") {
				var object map[string]any
				if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
					var list []any
					if yaml.UnmarshalStrict([]byte(document), &list) != nil {
						t.Errorf("%s: %v in\n%s", page, err, document)
					}
					continue
				}
				if object["kind"] == v1alpha1.RegistryKind {
					registries++
					if err := yaml.UnmarshalStrict([]byte(document), &v1alpha1.ModelRegistry{}); err != nil {
						t.Errorf("%s: %v in\n%s", page, err, document)
					}
				}
			}
		}
	}
	if registries == 0 {
		t.Error("no page shows a ModelRegistry")
	}
}
