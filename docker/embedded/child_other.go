//go:build !linux

package embedded

import (
	"os"
	"syscall"
)

// childAttr exists so that the package compiles everywhere. Only linux/amd64 has engines from npm; elsewhere a child
// does not die with its parent.
func childAttr(*credential) *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) error { return p.Kill() }
