package preflight

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
)

// topicsDatabase is a database with one table, whose records do not always carry whole rows.
func topicsDatabase(t *testing.T, s *embedded.Stack, name string) string {
	t.Helper()
	require.NoError(t, s.Postgres.CreateDatabase(t.Context(), name))
	r := &rig{T: t, stack: s}
	r.inDatabase(name, "CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, mrn text, ssn text, name text, note text)")
	return s.Postgres.DatabaseURL(name)
}

// TestKafkaFixed builds on kfake what it does as Apache Kafka does.
func TestKafkaFixed(t *testing.T) {
	s := stack.Get(t)
	cluster, admin := kfakeCluster(t, 1)
	r := newRig(t, topicsDatabase(t, s, "kfake"), cluster.ListenAddrs(), "http://127.0.0.1:1", s.ClickHouse.URL())
	r.stack, r.admin = s, admin
	r.set(saslConfig)
	r.set(`source: {tables: ["public.*"]}`)
	r.grantKafka()
	topicsFixed(r)
	r.set("kafka: {replication: 3}")
	r.fixed("kafka-replication", LevelError, "3 copies of each topic are asked for")
	r.set("kafka: {sasl: {password: wrong}}")
	report := r.check()
	c, is := bad(report, "kafka-connect")
	require.True(t, is)
	require.Contains(t, c.Message, "wrong password")
	require.False(t, c.away)
	require.Equal(t, "set mechanism, user and password under kafka.sasl", c.Command)
	r.set(saslConfig)
	r.set("kafka: {brokers: ['127.0.0.1:1']}")
	c, is = bad(r.check(), "kafka-connect")
	require.True(t, is)
	require.Equal(t, "see that Kafka runs and kafka.brokers is right; a listener with TLS needs kafka.tls, one with a login kafka.sasl", c.Command)
	r.set("kafka: {brokers: ['" + cluster.ListenAddrs()[0] + "']}")
	r.good(r.check(), "kafka-connect")
}

// TestOldKafka: topics without ids.
func TestOldKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(kversion.V2_7_0()))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	r := newRig(t, "postgres://u@127.0.0.1:1/d", cluster.ListenAddrs(), "http://127.0.0.1:1", "clickhouse://127.0.0.1:1")
	c, is := bad(r.check(), "kafka-version")
	require.True(t, is)
	require.Equal(t, "it knows Metadata only up to v9 (v10, of Kafka 2.8, is needed); dirtbike needs 2.8 or newer. Upgrade the brokers", c.Message)
}

// topicsFixed: existing topics with other settings than ours.
func topicsFixed(r *rig) {
	r.Helper()
	topic := func(partitions int32, settings map[string]string) {
		_, _ = r.admin.DeleteTopics(r.Context(), "clinic.public.patients") // it need not be there
		pointers := map[string]*string{}
		for k, v := range settings {
			pointers[k] = &v
		}
		require.Eventually(r, func() bool { // deleting takes a moment
			responses, err := r.admin.CreateTopics(r.Context(), partitions, 1, pointers, "clinic.public.patients")
			return err == nil && responses["clinic.public.patients"].Err == nil
		}, 30*time.Second, 100*time.Millisecond)
	}
	topic(3, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "16777216"})
	r.fixed("kafka-topics", LevelError, "compaction would lose values")
	topic(3, map[string]string{"cleanup.policy": "delete", "max.message.bytes": "100000"})
	r.fixed("kafka-message-size", LevelError, "its max.message.bytes is 100000")
	topic(3, map[string]string{"cleanup.policy": "delete"}) // the brokers' own limit, 1 MiB, then counts
	r.fixed("kafka-message-size", LevelError, "its max.message.bytes is 1048588, below kafka.max_message_bytes=16000000")
	topic(3, map[string]string{"max.message.bytes": "16777216", "retention.ms": "1000"})
	r.fixed("kafka-topics", LevelWarning, "its retention.ms is 1000, below kafka.replay_horizon")
	topic(2, map[string]string{"max.message.bytes": "16777216"})
	c := r.fixed("kafka-topics", LevelError, "it has 2 partitions, wanted 3")
	require.Equal(r, "kafka: {partitions: 2}", c.Command)
	r.set("kafka: {partitions: 3}")
	r.inDatabase("kfake", "CREATE TABLE public.visits (id bigint PRIMARY KEY)")
	r.set("privacy: {columns: {public.visits: {id: keep}}}")
	c = r.fixed("kafka-topics", LevelError, "it has 2 partitions, wanted 3") // the config does not fit one topic's sake
	require.Contains(r, c.Command, " --delete --topic clinic.public.patients")
	_, err := r.admin.DeleteTopics(r.Context(), "clinic.public.patients")
	require.NoError(r, err)
}

// TestApacheKafkaFixed: rights, limits and settings on Apache Kafka, whose own tool changes the settings, and nothing
// is made on a cluster that has no internal topics yet.
func TestApacheKafkaFixed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("Apache Kafka takes too long for -short")
	}
	s := stack.Get(t)
	broker, jars, properties := startApache(t)
	r := newRig(t, topicsDatabase(t, s, "apache"), []string{broker}, "http://127.0.0.1:1", s.ClickHouse.URL())
	r.stack, r.admin, r.jars, r.properties = s, adminClient(t, broker), jars, properties
	r.set(saslConfig)
	r.set(`source: {tables: ["public.*"]}`)

	before := inside(t, r.admin)
	report := r.check()
	for _, slug := range []string{"kafka-topic-rights", "kafka-transaction-rights", "kafka-group-rights"} {
		_, is := bad(report, slug)
		require.True(t, is, "%s:\n%s", slug, textOf(report))
	}
	r.grantKafka()
	require.Equal(t, before, inside(t, r.admin), "check makes no topic, not even an internal one")
	r.good(r.check(), "kafka-version")

	r.fixed("kafka-transaction-timeout", LevelError, "less than kafka.transaction_timeout")
	r.fixed("kafka-message-size", LevelError, "the brokers would cut the connection")
	r.set("kafka: {max_message_bytes: 1900000}")
	topics := "clinic.public.patients"
	limit := "100000"
	_, err := r.admin.CreateTopics(t.Context(), 3, 1, map[string]*string{"max.message.bytes": &limit, "cleanup.policy": kadm.StringPtr("compact")}, topics)
	require.NoError(t, err)
	r.fixed("kafka-message-size", LevelError, "its max.message.bytes is 100000")
	r.fixed("kafka-topics", LevelError, "compaction would lose values")

	r.set("kafka: {sasl: {password: wrong}}")
	c, is := bad(r.check(), "kafka-connect")
	require.True(t, is)
	require.Contains(t, c.Message, "log in to Kafka")
	require.False(t, c.away)
}

// inside lists all topics, internal ones too.
func inside(t *testing.T, admin *kadm.Client) []string {
	t.Helper()
	topics, err := admin.ListTopicsWithInternal(t.Context())
	require.NoError(t, err)
	return topics.Names()
}

const apacheServer = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@CONTROLLER
listeners=SASL_PLAINTEXT://BROKER,CONTROLLER://CONTROLLER
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="root" password="root" user_root="root" user_dirtbike="secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:root;User:ANONYMOUS
log.dirs=DATA
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.max.timeout.ms=30000
socket.request.max.bytes=2000000
`

const adminProperties = `security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="root" password="root";
`

// startApache starts Apache Kafka with logins and ACLs; the folder has admin.properties.
func startApache(t *testing.T) (broker, jars, properties string) {
	t.Helper()
	embeddedtest.Tools(t, "java", "mvn")
	dir := t.TempDir()
	jars = apacheJars(t)
	addresses := strings.NewReplacer("BROKER", embeddedtest.FreeAddress(t), "CONTROLLER", embeddedtest.FreeAddress(t), "DATA", filepath.Join(dir, "data"))
	text := strings.ReplaceAll(apacheServer, "CONTROLLER://CONTROLLER", "CONTROL_LISTENER")
	for _, keep := range []string{"listener.names=CONTROLLER", "map=CONTROLLER:"} {
		text = strings.ReplaceAll(text, keep, strings.ReplaceAll(keep, "CONTROLLER", "Controller"))
	}
	text = addresses.Replace(strings.ReplaceAll(text, "CONTROL_LISTENER", "Controller://CONTROLLER"))
	text = strings.ReplaceAll(text, "Controller", "CONTROLLER")
	config := filepath.Join(dir, "server.properties")
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	properties = filepath.Join(dir, "admin.properties")
	require.NoError(t, os.WriteFile(properties, []byte(adminProperties), 0o600))
	quick := []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(jars, "*")}
	out, err := exec.CommandContext(t.Context(), "java", append(quick, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", config)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	server := exec.CommandContext(context.Background(), "java", append(quick, "kafka.Kafka", config)...)
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s", text[max(0, len(text)-4000):])
		}
		_ = log.Close()
	})
	broker = addresses.Replace("BROKER")
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.SASL(plain.Auth{User: "root", Pass: "root"}.AsMechanism()))
	require.NoError(t, err)
	defer client.Close()
	require.Eventually(t, func() bool {
		asking, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		brokers, err := kadm.NewClient(client).ListBrokers(asking)
		return err == nil && len(brokers) == 1
	}, time.Minute, 200*time.Millisecond)
	return broker, jars, properties
}

// apacheJars installs Apache Kafka as the embedded stack does, and finds it.
func apacheJars(t *testing.T) string {
	t.Helper()
	require.NoError(t, embedded.Prepare(t.Context(), embedded.Options{Kafka: "apache", Parts: embedded.Parts{Kafka: true}}))
	cache := os.Getenv("DIRTBIKE_CACHE")
	if cache == "" && os.Geteuid() == 0 {
		cache = "/var/cache/dirtbike"
	}
	if cache == "" {
		base, err := os.UserCacheDir()
		require.NoError(t, err)
		cache = filepath.Join(base, "dirtbike")
	}
	found, err := filepath.Glob(filepath.Join(cache, "apache-kafka-*", "lib"))
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found[len(found)-1]
}

// TestRegistryFixed: a schema that does not fit, and a registry that takes none. The fake answers whether schemas fit
// as a registry does: by the subject's level.
func TestRegistryFixed(t *testing.T) {
	s := stack.Get(t)
	fake := srfake.New(srfake.WithGlobalCompat(sr.CompatBackward))
	t.Cleanup(fake.Close)
	levels := map[string]string{}
	var mu sync.Mutex
	fake.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		subject, is := strings.CutPrefix(req.URL.Path, "/config/")
		if is && req.Method == http.MethodPut {
			levels[subject] = "NONE"
		}
		subject, is = strings.CutPrefix(req.URL.Path, "/compatibility/subjects/")
		subject, _, _ = strings.Cut(subject, "/")
		if !is || subject != "clinic.public.patients-value" {
			return false
		}
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"is_compatible": levels[subject] == "NONE", "messages": []string{"READER_FIELD_MISSING_DEFAULT_VALUE"}})
		return true
	})
	r := newRig(t, topicsDatabase(t, s, "registry"), []string{"127.0.0.1:1"}, fake.URL(), s.ClickHouse.URL())
	r.set(`source: {tables: ["public.*"]}`)
	client, err := sr.NewClient(sr.URLs(fake.URL()))
	require.NoError(t, err)
	r.check()
	subjects, err := client.Subjects(t.Context())
	require.NoError(t, err)
	require.Empty(t, subjects, "nothing was registered")
	c := r.fixed("registry-schemas", LevelError, "READER_FIELD_MISSING_DEFAULT_VALUE")
	require.Equal(t, "clinic.public.patients-value", c.Subject)
	require.Contains(t, c.Command, `--data '{"compatibility":"NONE"}' http://127.0.0.1:`)

	require.NoError(t, client.SetMode(t.Context(), sr.ModeReadOnly)[0].Err)
	r.fixed("registry-mode", LevelError, "takes no schema")

	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(locked.Close)
	address, err := url.Parse(locked.URL)
	require.NoError(t, err)
	address.User = url.UserPassword("me", "secret")
	r.set(`registry: {url: "` + address.String() + `"}`)
	c, is := bad(r.check(), "registry-connect")
	require.True(t, is)
	require.Contains(t, c.Message, "401")
	require.False(t, c.away)
}
