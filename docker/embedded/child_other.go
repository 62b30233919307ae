//go:build !linux

package embedded

import "syscall"

// childAttr exists so that the package compiles everywhere; Start refuses every platform but linux.
func childAttr(*syscall.Credential) *syscall.SysProcAttr { return nil }
