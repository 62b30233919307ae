package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// leg is a verb of dirtbike in a process of its own.
type leg struct {
	verb string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // why, once done is closed
}

// stopWait is how long a leg may take to end in order.
const stopWait = 15 * time.Second

// start runs `dirtbike <verb> --config …`; what it writes goes to a log beside the config. It gets SIGTERM when ctx
// ends, and dies with this process.
func start(ctx context.Context, self, verb, config string, args ...string) (*leg, error) {
	l := &leg{verb: verb, done: make(chan struct{})}
	file, err := os.CreateTemp(filepath.Dir(config), verb+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("make a log for %s: %w", verb, err)
	}
	l.log = file.Name()
	l.cmd = exec.CommandContext(ctx, self, append([]string{verb, "--config", config, "--log-format", "json", "--log-level", "warn"}, args...)...)
	l.cmd.Cancel, l.cmd.WaitDelay = func() error { return l.cmd.Process.Signal(syscall.SIGTERM) }, stopWait
	l.cmd.Stdout, l.cmd.Stderr, l.cmd.SysProcAttr = file, file, legAttr()
	started := make(chan error, 1)
	go l.run(file, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start dirtbike %s: %w", verb, err)
	}
	return l, nil
}

// run keeps the thread that started the process until it has ended: the kernel's death signal follows that thread.
func (l *leg) run(file *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.done)
	defer file.Close()
	err := l.cmd.Start()
	started <- err
	if err == nil {
		l.err = l.cmd.Wait()
	}
}

// stop is SIGTERM; it gives the most memory that the leg had.
func (l *leg) stop() (peak int64, err error) {
	if err := l.ended(); err != nil {
		return 0, err
	}
	peak, err = PeakMemory(l.cmd.Process.Pid)
	if signalErr := l.cmd.Process.Signal(syscall.SIGTERM); signalErr != nil && !errors.Is(signalErr, os.ErrProcessDone) {
		return peak, errors.Join(err, signalErr)
	}
	select {
	case <-l.done:
	case <-time.After(stopWait):
		_ = l.cmd.Process.Kill() // it may end at this moment
		<-l.done
		return peak, errors.Join(err, fmt.Errorf("dirtbike %s did not stop within %s of SIGTERM", l.verb, stopWait))
	}
	if failure := l.failure(); failure != nil {
		return peak, failure // a process that is gone has no memory to be read
	}
	return peak, err
}

// ended gives the error of a leg that has ended by itself.
func (l *leg) ended() error {
	select {
	case <-l.done:
		return fmt.Errorf("dirtbike %s has ended by itself: %w", l.verb, errors.Join(l.failure(), errNotAsked))
	default:
		return nil
	}
}

var errNotAsked = errors.New("nobody asked it to")

// wait waits for a verb that ends by itself.
func (l *leg) wait() error {
	<-l.done
	return l.failure()
}

// failure is the error of the exit code, with what it wrote last.
func (l *leg) failure() error {
	if l.err == nil {
		return nil
	}
	b, _ := os.ReadFile(l.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Errorf("dirtbike %s: %w: %s", l.verb, l.err, strings.Join(lines[max(0, len(lines)-3):], " / "))
}
