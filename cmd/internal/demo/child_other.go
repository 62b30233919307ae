//go:build !linux

package demo

import "syscall"

func diesWithParent() *syscall.SysProcAttr { return nil }
