package devcluster

import "flag"

// Fuzzing says whether this is a test's program that fuzzes. Each of its processes runs TestMain, and no fuzz target needs a
// cluster or an OCI registry.
func Fuzzing() bool {
	flag.Parse()
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}
