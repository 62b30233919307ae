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

// child is a leg of the pipeline in a process of its own, so that it can be killed for real. Its methods may be called
// concurrently.
type child struct {
	self, name string
	args       []string
	log        string

	mu       sync.Mutex
	process  *os.Process
	done     chan struct{} // closed when the process has ended
	err      error         // why, once done is closed
	expected bool          // we asked it to end
}

// start runs `dirtbike <name> …` and lets it write to its log file. The process dies with this one.
func (c *child) start() error {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	cmd := exec.Command(c.self, c.args...) //nolint:noctx // it is stopped by signals, not by a context
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, childAttr()
	started := make(chan error, 1)
	go c.run(cmd, log, started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	return nil
}

// run keeps the thread that started the process until it has ended: the kernel's death signal follows that thread.
func (c *child) run(cmd *exec.Cmd, log *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer log.Close()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	done := make(chan struct{})
	c.mu.Lock()
	c.process, c.done, c.expected = cmd.Process, done, false
	c.mu.Unlock()
	started <- nil
	err := cmd.Wait()
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	close(done)
}

// restart is SIGKILL, which leaves the process no chance to tidy up, and a start.
func (c *child) restart() error {
	if err := c.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.ends()
	return c.start()
}

// stopTime is how long a leg may take to end in order.
const stopTime = 15 * time.Second

// stop is SIGTERM, and SIGKILL if that does not help. A leg that was never started is no error.
func (c *child) stop() error {
	if c == nil || c.ends() == nil {
		return nil
	}
	if err := c.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.ends():
		return nil
	case <-time.After(stopTime):
	}
	err := c.signal(syscall.SIGKILL)
	<-c.ends()
	return errors.Join(fmt.Errorf("%s did not stop within %s of SIGTERM", c.name, stopTime), err)
}

func (c *child) ends() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func (c *child) signal(s os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected = true
	if err := c.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", c.name, err)
	}
	return nil
}

// ended gives the error of a child that has ended by itself.
func (c *child) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
	default:
		return nil
	}
	if c.expected {
		return nil
	}
	err := c.err
	if err == nil {
		err = errors.New("exit code 0")
	}
	return fmt.Errorf("%s has ended by itself (%w). Try: run the demo with --dir DIR and read DIR/%s.log", c.name, err, c.name)
}
