//go:build !linux

package replication

import (
	"syscall"
	"time"
)

// setUserTimeout does nothing where there is no such option.
func setUserTimeout(syscall.RawConn, time.Duration) error { return nil }
