package embedded

import (
	"os"
	"syscall"
)

// childAttr makes the child die with the thread that starts it, in a process group of its own: Ctrl-C on a terminal
// then reaches only the parent, which stops its children in order, and ClickHouse's SYSTEM SHUTDOWN (kill of its own
// group) reaches only ClickHouse. The kernel forgets the death signal on a change of user, so it is set after that
// change.
func childAttr(cred *credential) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if cred != nil {
		attr.Credential = &syscall.Credential{Uid: cred.uid, Gid: cred.gid}
	}
	return attr
}

// killGroup sends SIGKILL to the process and all it started.
func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }
