package embedded

import "syscall"

// childAttr makes the child die with the thread that starts it, in a process group of its own: Ctrl-C on a terminal then
// reaches only the parent, which stops its children in order, and ClickHouse's SYSTEM SHUTDOWN (kill of its own group)
// reaches only ClickHouse.
func childAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, Credential: cred}
}
