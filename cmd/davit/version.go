package main

import (
	"runtime"
	"runtime/debug"
	_ "time/tzdata" // schedules and freezes have time zones, and the image of davit has no files of them

	"github.com/spf13/cobra"
)

// What the linker writes: -X main.linkedVersion=v1.2.0 -X main.linkedCommit=<hash>.
var linkedVersion, linkedCommit string

// version is what davit was built from: the linker's word, or the module's.
func version() string {
	if linkedVersion != "" {
		return linkedVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// commit is the one davit was built from; empty when nobody said.
func commit() string {
	if linkedCommit != "" {
		return linkedCommit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

func versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "The version of this davit, and the commit it was built from"}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		v := struct {
			Version  string `json:"version"`
			Commit   string `json:"commit,omitempty"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{version(), commit(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
		return printData(cmd.OutOrStdout(), *output, v, []any{"VERSION", "COMMIT", "GO", "PLATFORM"},
			[][]any{{v.Version, orDash(v.Commit), v.Go, v.Platform}})
	}
	return c
}
