package image

import (
	"os"
	"syscall"
)

// imageUID is the Dockerfile's USER; a test compares them.
const imageUID = 65532

// imageUser makes a child run as the image's user, if we may do so, and end with this process.
func imageUser() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		attributes.Credential = &syscall.Credential{Uid: imageUID, Gid: imageUID}
	}
	return attributes
}
