package demo

import "syscall"

// childAttr makes a leg die with this process, and keeps Ctrl-C on the terminal from it: the demo stops its legs
// itself, in order.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
