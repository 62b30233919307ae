package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.uber.org/zap"
)

var (
	//go:embed apache/pom.xml
	apachePOM []byte
	//go:embed apache/SHA256SUMS
	apacheSums []byte
)

const apacheSize = 44_164_868 // bytes of jars

// apachePackage is Apache Kafka's jars, brought by Maven and checked against SHA256SUMS.
func apachePackage() pkg {
	sum := sha256.Sum256(append(bytes.Clone(apachePOM), apacheSums...))
	return pkg{
		name: "apache-kafka", digest: hex.EncodeToString(sum[:]), size: apacheSize,
		check: func() error { return checkJava("mvn", "java") }, build: mavenInstall,
	}
}

func checkJava(tools ...string) error {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("Apache Kafka needs Java 17 and Maven, and `%s` is not on PATH. Try: apt-get install openjdk-17-jre-headless maven; or --kafka kfake", tool)
		}
	}
	return nil
}

func mavenInstall(ctx context.Context, dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), apachePOM, 0o644); err != nil {
		return err
	}
	err := runTool(ctx, dir, "mvn", "-q", "-B", "-C", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	if err != nil {
		return fmt.Errorf("%w. Try: again, with a network that reaches the Maven repository", err)
	}
	return checkSums(filepath.Join(dir, "lib"), string(apacheSums))
}

// checkSums fails unless dir holds exactly the files of sums (the format of sha256sum) with these contents.
func checkSums(dir, sums string) error {
	want := strings.Split(strings.TrimSpace(sums), "\n")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) != len(want) {
		return fmt.Errorf("expected %d files, found %d", len(want), len(entries))
	}
	for _, line := range want {
		sum, name, _ := strings.Cut(line, "  ")
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
			return fmt.Errorf("%s does not have its pinned checksum", name)
		}
	}
	return nil
}

// openApache describes one combined broker and controller.
func openApache(d *workDir, home string, login *KafkaLogin, log *zap.Logger) (*Kafka, error) {
	if err := checkJava("java"); err != nil {
		return nil, err
	}
	dir, err := d.sub("kafka", "apache", "node-1")
	if err != nil {
		return nil, err
	}
	temporary, err := d.sub("kafka", "apache", "tmp") // its libraries leave files there
	if err != nil {
		return nil, err
	}
	props, classpath := filepath.Join(dir, "server.properties"), filepath.Join(home, "lib", "*")
	if err := writeFileSync(props, []byte(apacheProperties(d.state.Ports, dir, login))); err != nil {
		return nil, err
	}
	return newKafka(d.state.Ports[apacheBroker], d.state.Ports[apacheSecure], log, func(ctx context.Context) (spec, error) {
		if err := formatApache(ctx, dir, classpath, props, login); err != nil {
			return spec{}, err
		}
		return spec{
			name: "kafka", path: "java", env: os.Environ(), dir: dir, log: d.logPath("kafka"),
			args: []string{
				"-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
				"-Djava.io.tmpdir=" + temporary, "-XX:-UsePerfData", "-cp", classpath, "kafka.Kafka", props,
			},
		}, nil
	}), nil
}

// formatApache writes the storage's metadata, with a new cluster id, if there is none.
func formatApache(ctx context.Context, dir, classpath, props string, login *KafkaLogin) error {
	_, err := os.Stat(filepath.Join(dir, "data", "meta.properties"))
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("find Kafka's storage: %w", err)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // crypto/rand never fails: it ends the program instead
	id[0] &= 0x7f        // an id that begins with "-" would be taken for an option
	args := []string{
		"-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", classpath, "kafka.tools.StorageTool", "format", "-t", base64.RawURLEncoding.EncodeToString(id), "-c", props,
	}
	return runTool(ctx, dir, "java", append(args, login.scram()...)...)
}

// The names of its ports.
const (
	apacheBroker     = "kafka-1"
	apacheController = "kafka-controller-1"
	apacheSecure     = "kafka-secure-1"
)

// apacheProperties is the broker's configuration.
func apacheProperties(ports map[string]int, dir string, login *KafkaLogin) string {
	controller := loopback(ports[apacheController])
	listeners := fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s", loopback(ports[apacheBroker]), controller)
	if login != nil {
		listeners += ",SECURE://" + loopback(ports[apacheSecure])
	}
	lines := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"listeners=" + listeners,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + filepath.Join(dir, "data"),
		"auto.create.topics.enable=false",
		"group.initial.rebalance.delay.ms=0",
		"message.max.bytes=33554432",
		"replica.fetch.max.bytes=33554432",
		"broker.session.timeout.ms=6000",
		"default.replication.factor=1",
		"min.insync.replicas=1",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=10",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=10",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
	}
	return strings.Join(append(lines, login.properties()...), "\n") + "\n"
}
