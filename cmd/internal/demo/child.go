package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// child is a leg of the pipeline in a process of its own, so that it can be killed for real.
type child struct {
	self, name string
	args       []string
	log        string
	mu         sync.Mutex
	process    *os.Process
	done       chan error
}

// start runs `dirtbike <name> …` and lets it write to its log file. The process dies with this one.
func (c *child) start() error {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	started := make(chan error, 1)
	done := make(chan error, 1)
	go func() {
		// the kernel's death signal follows the thread that started the child, so the thread stays until the child ends
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()                      //nolint:errcheck // a log file
		cmd := exec.Command(c.self, c.args...) //nolint:noctx // it is stopped by signals, not by a context
		cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, diesWithParent()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		c.mu.Lock()
		c.process = cmd.Process
		c.mu.Unlock()
		started <- nil
		done <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.done = done
	return nil
}

// kill is SIGKILL: the process has no chance to tidy up.
func (c *child) kill() error {
	if err := c.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.done
	return nil
}

// stop is SIGTERM, and SIGKILL if that does not help.
func (c *child) stop() error {
	if c.done == nil {
		return nil
	}
	if err := c.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(15 * time.Second):
		return errors.Join(fmt.Errorf("%s did not stop within 15 s of SIGTERM", c.name), c.kill())
	}
}

func (c *child) signal(s os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", c.name, err)
	}
	return nil
}

// ended gives the error of a child that has ended by itself.
func (c *child) ended() error {
	select {
	case err := <-c.done:
		return fmt.Errorf("%s has ended by itself (%w). Try: look into %s", c.name, orEnded(err), c.log)
	default:
		return nil
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}
