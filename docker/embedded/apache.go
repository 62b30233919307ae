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
	"strconv"
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

// openApache describes a cluster of 1 or 3 combined broker and controller nodes and formats what is new.
func openApache(ctx context.Context, d *workDir, home string, nodes int, log *zap.Logger) (*Kafka, error) {
	if err := checkJava("java"); err != nil {
		return nil, err
	}
	logs, err := d.sub("log")
	if err != nil {
		return nil, err
	}
	id, err := clusterID(d)
	if err != nil {
		return nil, err
	}
	k := &Kafka{kind: kindApache, log: log}
	for i := 1; i <= nodes; i++ {
		n, err := openApacheNode(ctx, d, filepath.Join(home, "lib", "*"), logs, id, i, nodes)
		if err != nil {
			return nil, err
		}
		k.nodes = append(k.nodes, n)
	}
	return k, nil
}

// clusterID returns the cluster's id, made once: 16 random bytes in URL-safe base64.
func clusterID(d *workDir) (string, error) {
	dir, err := d.sub("kafka", "apache")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "cluster.id")
	raw, err := os.ReadFile(path)
	if err == nil {
		return string(raw), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read Kafka's cluster id: %w", err)
	}
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand never fails: it ends the program instead
	b[0] &= 0x7f        // an id that begins with "-" would be taken for an option
	id := base64.RawURLEncoding.EncodeToString(b)
	return id, writeFileSync(path, []byte(id))
}

func openApacheNode(ctx context.Context, d *workDir, classpath, logs, id string, i, nodes int) (*node, error) {
	dir, err := d.sub("kafka", "apache", "node-"+strconv.Itoa(i))
	if err != nil {
		return nil, err
	}
	props := filepath.Join(dir, "server.properties")
	if err := writeFileSync(props, []byte(apacheProperties(d.state.Ports, dir, i, nodes))); err != nil {
		return nil, err
	}
	if err := formatApache(ctx, dir, classpath, props, id); err != nil {
		return nil, err
	}
	n := &node{port: d.state.Ports[brokerPort(i)]}
	n.spec = func() (spec, error) {
		java, err := exec.LookPath("java")
		if err != nil {
			return spec{}, checkJava("java")
		}
		return spec{
			name: "kafka-" + strconv.Itoa(i), path: java, env: os.Environ(), dir: dir,
			log: filepath.Join(logs, "kafka-"+strconv.Itoa(i)+".log"),
			args: []string{
				"-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
				"-cp", classpath, "kafka.Kafka", props,
			},
		}, nil
	}
	return n, nil
}

// formatApache writes the storage's metadata if there is none.
func formatApache(ctx context.Context, dir, classpath, props, id string) error {
	_, err := os.Stat(filepath.Join(dir, "data", "meta.properties"))
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for Kafka's storage: %w", err)
	}
	return runTool(ctx, dir, "java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", classpath, "kafka.tools.StorageTool", "format", "-t", id, "-c", props)
}

func brokerPort(i int) string     { return "kafka-" + strconv.Itoa(i) }
func controllerPort(i int) string { return "kafka-controller-" + strconv.Itoa(i) }

// apacheProperties is the configuration of node i.
func apacheProperties(ports map[string]int, dir string, i, nodes int) string {
	voters := make([]string, 0, nodes)
	for v := 1; v <= nodes; v++ {
		voters = append(voters, fmt.Sprintf("%d@%s", v, loopback(ports[controllerPort(v)])))
	}
	minISR := min(2, nodes)
	lines := []string{
		"process.roles=broker,controller",
		"node.id=" + strconv.Itoa(i),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s", loopback(ports[brokerPort(i)]), loopback(ports[controllerPort(i)])),
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + filepath.Join(dir, "data"),
		"auto.create.topics.enable=false",
		"group.initial.rebalance.delay.ms=0",
		"message.max.bytes=33554432",
		"replica.fetch.max.bytes=33554432",
		"broker.session.timeout.ms=6000",
		fmt.Sprintf("default.replication.factor=%d", nodes),
		fmt.Sprintf("min.insync.replicas=%d", minISR),
		fmt.Sprintf("offsets.topic.replication.factor=%d", nodes),
		"offsets.topic.num.partitions=10",
		fmt.Sprintf("transaction.state.log.replication.factor=%d", nodes),
		fmt.Sprintf("transaction.state.log.min.isr=%d", minISR),
		"transaction.state.log.num.partitions=10",
		fmt.Sprintf("share.coordinator.state.topic.replication.factor=%d", nodes),
		fmt.Sprintf("share.coordinator.state.topic.min.isr=%d", minISR),
	}
	return strings.Join(lines, "\n") + "\n"
}
