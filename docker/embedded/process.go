package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Process is another program that runs as the parts of a stack do: it dies with this process, and Ctrl-C on the
// terminal does not reach it. Its methods may be called concurrently; a nil one may be stopped.
type Process struct {
	spec spec

	mu    sync.Mutex
	child *child
}

// StartProcess starts a program. name is for errors; what it writes is appended to the file log.
func StartProcess(name, log, path string, args ...string) (*Process, error) {
	s := spec{name: name, path: path, args: args, log: log}
	c, err := spawn(s)
	if err != nil {
		return nil, err
	}
	return &Process{spec: s, child: c}, nil
}

func (p *Process) current() *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child
}

// PID is the process's id.
func (p *Process) PID() int { return p.current().proc.Pid }

// Restart is SIGKILL, which leaves the process no chance to tidy up, and another start.
func (p *Process) Restart() error {
	if err := p.current().kill(); err != nil {
		return err
	}
	c, err := spawn(p.spec)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.child = c
	return nil
}

// Ended gives the error of a process that has ended without having been asked to.
func (p *Process) Ended() error {
	if c := p.current(); !c.running() && !c.expected.Load() {
		return c.exit()
	}
	return nil
}

// Wait waits until the process has ended; an exit code that is not 0 is an error.
func (p *Process) Wait(ctx context.Context) error {
	c := p.current()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
	}
	if !c.state.Success() {
		return fmt.Errorf("%s: %s: %s", c.name, c.state, lastLine(c.log))
	}
	return nil
}

// Stop is SIGTERM, and SIGKILL and an error if the process has not ended in time.
func (p *Process) Stop(within time.Duration) error {
	if p == nil || !p.current().running() {
		return nil
	}
	c := p.current()
	if err := c.signal(syscall.SIGTERM); err != nil || c.waitCtx(context.Background(), within) {
		return err
	}
	return errors.Join(fmt.Errorf("%s did not stop within %s of SIGTERM", c.name, within), c.kill())
}
