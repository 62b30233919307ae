package clickhouse

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Options say what a Loader reads, where it writes, and how much it may hold.
type Options struct {
	Kafka []kgo.Opt // Kafka has the seed brokers and, where needed, TLS and SASL
	// Group is the consumer group; loaders of one pipeline share it. Required.
	Group string
	// Instance names this loader within the group (static membership): one that was killed gets its partitions back as
	// soon as it is there again. No two that run at once may have the same. "" = none: the group gives it a name each
	// time.
	Instance string
	Prefix   string           // Prefix of the pipeline's topics. Required.
	Registry schemas.Registry // Registry reads the topics' schemas. Required.
	// URL is a clickhouse-go connection string of the native protocol; it is never printed. Required.
	URL        string
	TLS        *tls.Config // TLS encrypts the connections to ClickHouse; nil = as the URL says
	Database   string      // Database holds the views; storage is in "<Database>_raw". Required.
	BatchRows  int         // BatchRows and BatchBytes end a batch; 0 = 100,000 rows and 64 MB
	BatchBytes int64
	// MemoryBytes bounds everything buffered, the consumer's fetches included; 0 = 256 MB, at least 16 MB. Polling
	// stops while a batch that reached its share is being inserted.
	MemoryBytes int64
	// MaxMessageBytes is the largest batch that capture writes, before compression; 0, and anything below, is 16 MiB.
	MaxMessageBytes int
	// Producers says who writes for the pipeline: records of others change nothing. Required.
	Producers cdc.Producers
	// Controls reads the control topic. Required.
	Controls      cdc.Controls
	FlushInterval time.Duration // the longest wait for more rows when the topics are quiet; 0 = 50 ms
	// ReplayHorizon is how long compacted topics keep tombstones (rule 10): a loader that was away for longer refuses
	// to go on. 0 = 7 days.
	ReplayHorizon time.Duration
	// StoragePatience is how long a table of ClickHouse may be missing, or not as it was made, while it is changed:
	// then storage quarantines its table, and bookkeeping stops load. 0 = 1 minute.
	StoragePatience time.Duration
	// LoggedIn says that ClickHouse has accepted the URL's login before, so that a refusal is retried.
	LoggedIn bool
	Log      *zap.Logger           // Log takes what happens, never a row's value; nil = silent
	Metrics  prometheus.Registerer // Metrics takes the metrics `dirtbike_load_…`; nil = none
	Fault    cdc.Fault             // nil in a release

	harmEvery, profileEvery time.Duration // 0 is harmedEvery and profileEvery; shorter in tests
}

const (
	defaultBatchRows     = 100_000
	defaultBatchBytes    = 64 << 20
	defaultMemoryBytes   = 256 << 20
	leastMemoryBytes     = 16 << 20
	defaultFlushInterval = 50 * time.Millisecond
	defaultReplayHorizon = 7 * 24 * time.Hour
	defaultPatience      = time.Minute
	// A batch's share of the memory: there are two, their columns grow by doubling, and there is as much garbage until
	// it is collected.
	batchShare = 16
	// The share of one fetch, of which there are two: records arrive compressed, often 20:1, and are taken apart at
	// once.
	fetchShare = 256
	// The share of what is unpacked at a time, beside a single batch: the client keeps it until it is polled.
	unpackedShare      = 16
	leastBatchBytes    = 16 << 20
	batchOverheadBytes = 1 << 20 // beyond MaxMessageBytes
)

func (o *Options) progressTopic() string { return schemas.ProgressTopic(o.Prefix) }

// batchBytes is the most that a batch of capture's unpacks to.
func (o *Options) batchBytes() int {
	return max(o.MaxMessageBytes, leastBatchBytes) + batchOverheadBytes
}

func (o *Options) fill() error {
	for name, missing := range map[string]bool{
		"Group": o.Group == "", "Prefix": o.Prefix == "", "Registry": o.Registry == nil, "Producers": o.Producers == nil,
		"Controls": o.Controls == nil, "URL": o.URL == "", "Database": o.Database == "",
	} {
		if missing {
			return fmt.Errorf("load: option %s is required", name)
		}
	}
	o.BatchRows = cmp.Or(o.BatchRows, defaultBatchRows)
	o.MemoryBytes = max(cmp.Or(o.MemoryBytes, defaultMemoryBytes), leastMemoryBytes)
	o.BatchBytes = min(cmp.Or(o.BatchBytes, defaultBatchBytes), o.MemoryBytes/batchShare)
	o.ReplayHorizon = cmp.Or(o.ReplayHorizon, defaultReplayHorizon)
	o.StoragePatience = cmp.Or(o.StoragePatience, defaultPatience)
	o.FlushInterval = cmp.Or(o.FlushInterval, defaultFlushInterval)
	o.harmEvery, o.profileEvery = cmp.Or(o.harmEvery, harmedEvery), cmp.Or(o.profileEvery, profileEvery)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return nil
}

// parseURL reads the connection string without ever quoting it.
func (o *Options) parseURL() (*chgo.Options, error) {
	url, err := chgo.ParseDSN(o.URL)
	if err != nil {
		return nil, errors.New("load: the ClickHouse URL is malformed. Try: clickhouse://user:password@host:9000")
	}
	if url.Protocol != chgo.Native {
		return nil, errors.New("load: the ClickHouse URL names the HTTP interface. Try: clickhouse://user:password@host:9000 (the native protocol)")
	}
	if o.TLS != nil {
		url.TLS = o.TLS
	}
	url.Auth.Database = "default" // ours need not exist yet; every statement names its database
	return url, nil
}
