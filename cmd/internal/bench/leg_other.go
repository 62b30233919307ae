//go:build !linux

package bench

import "syscall"

func legAttr() *syscall.SysProcAttr { return nil }
