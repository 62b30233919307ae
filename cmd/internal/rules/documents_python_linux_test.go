package rules

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// pythonWait is how long the documented consumer may take to show a row.
const pythonWait = 90 * time.Second

// TestDocumentsPython runs the documented consumer against a capture of the clinic, with only the addresses replaced.
func TestDocumentsPython(t *testing.T) {
	for _, b := range blocksOf(t, "python") {
		script := filepath.Join(t.TempDir(), "consumer.py")
		require.NoError(t, os.WriteFile(script, []byte(b.text), 0o600))
		compilePython(t, script)
		python := clientPython(t)

		stack := start(t, embedded.Parts{Postgres: true, Kafka: true, Registry: true})
		conn := clinic(t, stack.Postgres)
		execute(t, conn, "INSERT INTO public.patients VALUES (1, 'Ada Example', '1990-05-17')")
		text := strings.NewReplacer("kafka:9092", stack.Kafka.Brokers()[0], "http://registry:8081", stack.Registry.URL()).Replace(b.text)
		require.NotEqual(t, b.text, text)
		require.NoError(t, os.WriteFile(script, []byte(text), 0o600))

		background(t, exec.Command(binary(t), "capture", "--config", captureConfig(t, stack), "--listen", "127.0.0.1:0"))
		topicThere(t, stack, "clinic.public.patients") // a reader that comes before its topic ends with an error
		var log bytes.Buffer
		if !printsLine(t, exec.Command(python, script), &log, "Ada Example") {
			t.Fatalf("the consumer showed no row within %s:\n%s", pythonWait, log.String())
		}
	}
}

// topicThere waits until capture has made the topic.
func topicThere(t *testing.T, stack *embedded.Stack, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(stack.Kafka.Brokers()...))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	require.Eventually(t, func() bool {
		topics, err := admin.ListTopics(t.Context(), topic)
		return err == nil && topics.Error() == nil && len(topics[topic].Partitions) > 0
	}, time.Minute, 50*time.Millisecond, "topic %s", topic)
}

// compilePython checks the syntax.
func compilePython(t *testing.T, script string) {
	t.Helper()
	embeddedtest.Tools(t, "python3")
	out, err := exec.CommandContext(t.Context(), "python3", "-m", "py_compile", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// clientPython gives an interpreter that has the Kafka client: the one that DIRTBIKE_PYTHON names, or python3.
func clientPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("DIRTBIKE_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.CommandContext(t.Context(), python, "-c", "import confluent_kafka.schema_registry.avro").Run(); err != nil {
		embeddedtest.Missing(t, "confluent-kafka for Python", ".ci/run python, or python3 -m pip install 'confluent-kafka[avro,schemaregistry]', "+
			"with DIRTBIKE_PYTHON naming the interpreter")
	}
	return python
}

// captureConfig writes a config for the stack and returns its path.
func captureConfig(t *testing.T, stack *embedded.Stack) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dirtbike.yaml")
	text := fmt.Sprintf("source: {url: %q}\nkafka: {brokers: [%q], prefix: clinic}\nregistry: {url: %q}\n"+
		"clickhouse: {url: \"clickhouse://127.0.0.1:1\"}\nprivacy: {mode: open}\n",
		stack.Postgres.DatabaseURL("clinic"), stack.Kafka.Brokers()[0], stack.Registry.URL())
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// background runs a command until the test ends, or is killed; what it wrote is shown if the test fails.
func background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	runtime.LockOSThread() // the death signal is sent when this thread ends
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = file, file
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		require.NoError(t, file.Close())
		if t.Failed() {
			text, _ := os.ReadFile(file.Name())
			t.Logf("%s", text)
		}
	})
}

// printsLine runs a command until it prints a line that holds what, and says whether it did; stderr goes to log.
func printsLine(t *testing.T, cmd *exec.Cmd, log *bytes.Buffer, what string) bool {
	t.Helper()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	deadline := time.AfterFunc(pythonWait, func() { _ = cmd.Process.Kill() }) // ends the loop below
	defer deadline.Stop()
	found := false
	for lines := bufio.NewScanner(out); !found && lines.Scan(); {
		found = strings.Contains(lines.Text(), what)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return found
}
