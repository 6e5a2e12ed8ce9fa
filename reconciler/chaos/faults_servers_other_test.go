//go:build !linux

package chaos_test

// serversCases start the control plane's processes again as /proc says that they were.
func serversCases(w *faultyWorld, _ int, _ bool, _ *faultTable) { w.t.Skip("needs Linux") }
