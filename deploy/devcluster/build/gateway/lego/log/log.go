// Package log would be lego's log.
package log

import "log/slog"

// SetDefault does nothing.
func SetDefault(*slog.Logger) {}
