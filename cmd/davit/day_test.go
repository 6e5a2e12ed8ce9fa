package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// told is what a script shows to the readers of README.md, or of another page.
type told struct{ strings.Builder }

var (
	// onTheWay are the steps that a try is seen at on its way, or not.
	onTheWay = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  Progressing .*\n`)
	// reported are lines of one sync: releases that do not wait for one another come in any order.
	reported  = regexp.MustCompile(`(?m)(^\d\d:\d\d:\d\d  [^ /]+/[^ /]+ .*\n)+`)
	apiServer = regexp.MustCompile(`https://127\.0\.0\.1:\d+`)
	lived     = regexp.MustCompile(`(\d{4}-\d\d-\d\d )?\b\d\d:\d\d:\d\d\b|\b\d+ bytes uploaded`)
)

// dayMask leaves what is the same on each first day.
func dayMask(text string) string {
	text = reported.ReplaceAllStringFunc(text, func(lines string) string {
		each := strings.SplitAfter(lines, "\n")
		each = each[:len(each)-1]
		slices.SortStableFunc(each, func(a, b string) int { return strings.Compare(strings.Fields(a)[1], strings.Fields(b)[1]) })
		return strings.Join(each, "")
	})
	return lifeMask(lived.ReplaceAllString(onTheWay.ReplaceAllString(text, ""), "<clock>"))
}

// say TEXT tells the reader what comes.
func say(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: say TEXT")
	}
	t := ts.Value("told").(*told)
	if t.Len() > 0 {
		t.WriteString("\n")
	}
	t.WriteString("# " + args[0] + "\n")
}

// show COMMAND runs a command as a user types it, and shows it with what it prints; ! show wants it to fail.
func show(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: show COMMAND")
	}
	t := ts.Value("told").(*told)
	err := ts.Exec("sh", "-c", "exec 2>&1; "+args[0])
	if (err != nil) != neg {
		ts.Fatalf("%s: %v", args[0], err)
	}
	t.WriteString("$ " + args[0] + "\n" + ts.ReadFile("stdout"))
}

var pages sync.Mutex

// holdPage is page SECTION [PAGE]: it holds that section of README.md, or of a page of deploy/docs, to what was shown, but for
// hashes, times and the width of columns.
func holdPage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: page SECTION [PAGE]")
	}
	text := strings.ReplaceAll(ts.Value("told").(*told).String(), ts.Getenv("REGISTRY"), "registry.example.com")
	text = strings.ReplaceAll(text, ts.Getenv("WORK")+"/models.git", "https://git.example.com/ml/models.git") // git tells what stands for it
	text = apiServer.ReplaceAllString(text, "https://kubernetes.example.com:6443")
	page := "../../README.md"
	if len(args) == 2 {
		page = "../../deploy/docs/" + args[1]
	}
	pages.Lock() // scripts run side by side, and some share a page
	defer pages.Unlock()
	data, err := os.ReadFile(page)
	ts.Check(err)
	is := regexp.MustCompile("(?s)<!-- " + args[0] + " -->\n```\n(.*?)```\n").FindSubmatchIndex(data)
	if is == nil {
		ts.Fatalf("%s has no section <!-- %s -->", page, args[0])
	}
	if os.Getenv("UPDATE") != "" {
		ts.Check(os.WriteFile(page, append(append(bytes.Clone(data[:is[2]]), text...), data[is[3]:]...), 0o644))
		return
	}
	if dayMask(text) != dayMask(string(data[is[2]:is[3]])) {
		ts.Fatalf("%s tells another story; UPDATE=1 writes it anew. Lived:\n%s", page, text)
	}
}
