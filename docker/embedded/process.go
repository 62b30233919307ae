package embedded

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// Process is another program that runs as the parts of a stack do: it dies with this process, and Ctrl-C on the
// terminal does not reach it. Its methods may be called concurrently.
type Process struct{ server }

// stopProcess is how long a Process may take to end after SIGTERM.
const stopProcess = 15 * time.Second

// StartProcess starts a program. name is for errors; what it writes is appended to the file log.
func StartProcess(ctx context.Context, name, log, path string, args ...string) (*Process, error) {
	launch := func(context.Context) (*child, error) {
		c, err := spawn(spec{name: name, path: path, args: args, log: log})
		if err != nil {
			return nil, backoff.Permanent(err)
		}
		return c, nil
	}
	p := &Process{server{log: zap.NewNop(), launch: launch, end: bySignals(stopStep{syscall.SIGTERM, stopProcess})}}
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Process) current() *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child
}

// PID is the process's id.
func (p *Process) PID() int { return p.current().proc.Pid }

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
