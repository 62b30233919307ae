package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// kafkaJars gives the class path of the Apache Kafka that the image of compose.yaml holds.
func kafkaJars(t *testing.T, s service) string {
	t.Helper()
	embeddedtest.Tools(t, "java", "mvn")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	require.NoError(t, embedded.Prepare(ctx, embedded.Options{Kafka: "apache", Parts: embedded.Parts{Kafka: true}}))
	version := regexp.MustCompile(`^apache/kafka:([0-9.]+)`).FindStringSubmatch(s.Image)
	require.NotNil(t, version, s.Image)
	found, err := filepath.Glob(filepath.Join(cache(t), "apache-kafka-*", "lib", "kafka_2.13-"+version[1]+".jar"))
	require.NoError(t, err)
	require.NotEmpty(t, found, "the embedded stack has another version than compose.yaml")
	return filepath.Join(filepath.Dir(found[0]), "*")
}

// cache is where the embedded stack keeps its engines.
func cache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("DIRTBIKE_CACHE"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/cache/dirtbike"
	}
	dir, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(dir, "dirtbike")
}

// startKafka starts Apache Kafka from the environment of compose.yaml, by the image's own code that makes the broker's
// config of it, and gives the address in place of kafka:9092. Only addresses and the data's folder differ.
func startKafka(t *testing.T, s service) string {
	t.Helper()
	jars, dir := kafkaJars(t, s), t.TempDir()
	internal := embeddedtest.FreeAddress(t)
	addresses := strings.NewReplacer(
		"INTERNAL://:9092", "INTERNAL://"+internal, "kafka:9092", internal, "HOST://:29092", "HOST://"+embeddedtest.FreeAddress(t),
		"CONTROLLER://:9093", "CONTROLLER://127.0.0.1:19093", "kafka:9093", "127.0.0.1:19093")
	controller := embeddedtest.FreeAddress(t)
	env := append(os.Environ(), "CLUSTER_ID=5L6g3nShT-eMCtK--X86sw") // the image's own, where compose.yaml names none
	for key, value := range s.Environment {
		text := strings.ReplaceAll(addresses.Replace(*value), "127.0.0.1:19093", controller)
		if key == "KAFKA_LOG_DIRS" {
			require.Equal(t, s.Volumes[0].Target, *value, "the data is in the volume")
			text = filepath.Join(dir, "data")
		}
		env = append(env, key+"="+text)
	}
	for _, folder := range []string{"default", "mounted", "final", "data"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o755))
	}
	java := func(args ...string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), "java", append([]string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", jars}, args...)...)
		command.Dir, command.Env, command.SysProcAttr = dir, env, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return command
	}
	out, err := java("kafka.docker.KafkaDockerWrapper", "setup", "--default-configs-dir", "default", "--mounted-configs-dir", "mounted", "--final-configs-dir", "final").CombinedOutput()
	require.NoError(t, err, "%s", out)
	background(t, java("kafka.Kafka", "final/server.properties"))
	requireBroker(t, internal)
	return internal
}

// requireBroker waits for the broker, and asks it for the settings that dirtbike needs.
func requireBroker(t *testing.T, address string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RetryTimeout(time.Second))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		brokers, err := admin.ListBrokers(ctx)
		return err == nil && len(brokers) == 1
	}, time.Minute, 100*time.Millisecond)
	configs, err := admin.DescribeBrokerConfigs(t.Context(), 1)
	require.NoError(t, err)
	settings := map[string]string{}
	for _, c := range configs[0].Configs {
		settings[c.Key] = c.MaybeValue()
	}
	require.Equal(t, "false", settings["auto.create.topics.enable"])
	require.Equal(t, "33554432", settings["message.max.bytes"])
	require.Equal(t, "1", settings["transaction.state.log.min.isr"])
}

// running is a command that runs until the test ends.
type running struct {
	command *exec.Cmd
	log     lockedBuffer // its stdout and stderr
}

// background runs a command until the test ends; what it wrote is shown if the test fails. Its death signal comes when
// this process ends: the thread that starts it must stay.
func background(t *testing.T, command *exec.Cmd) *running {
	t.Helper()
	r := &running{command: command}
	command.Stdout, command.Stderr = &r.log, &r.log
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		lockThread()
		started <- command.Start()
		if command.Process != nil {
			_ = command.Wait()
		}
	}()
	require.NoError(t, <-started)
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("---- %s\n%s", filepath.Base(command.Path), strings.TrimSpace(r.log.String()))
		}
	})
	return r
}
