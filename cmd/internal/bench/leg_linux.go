package bench

import "syscall"

// legAttr makes a leg die with this process, and keeps Ctrl-C on the terminal from it: the run stops its legs itself,
// in order.
func legAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
