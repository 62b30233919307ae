package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
)

// openKfake describes the broker; it runs in a child so that Kill is a real SIGKILL, and so that its memory and its
// allocations are not the pipeline's.
func openKfake(d *workDir, log *zap.Logger) (*Kafka, error) {
	dir, err := d.sub("kafka", "kfake")
	port := d.state.Ports["kafka"]
	return newKafka(port, 0, log, func(context.Context) (spec, error) {
		return selfSpec("kfake", d.logPath("kafka"), job{Name: "kfake", Port: port, Dir: dir}), nil
	}), err
}

// runKfake serves until SIGTERM. kfake has no initial rebalance delay to lower.
func runKfake(j job) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := forgetProducers(j.Dir); err != nil {
		return fmt.Errorf("start kfake: %w", err)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(j.Port), kfake.DataDir(j.Dir),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "33554432"}),
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
	)
	if err != nil {
		return fmt.Errorf("start kfake: %w", err)
	}
	<-stop
	cluster.Close()
	return os.WriteFile(filepath.Join(j.Dir, closedMark), nil, 0o600)
}

// closedMark says that kfake was closed, and not killed.
const closedMark = "closed"

// forgetProducers makes a kfake that was killed give new ids to its producers. It ends the transactions that were open
// then without a marker in the log, so that readers would take later records of the same id for aborted ones.
func forgetProducers(dir string) error {
	err := os.Remove(filepath.Join(dir, closedMark))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range []string{"pids.log", "seq_windows.json"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
