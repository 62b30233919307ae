package kafka

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Options say where a Sink writes and how. Only Client, Prefix and TransactionalID are needed.
type Options struct {
	// Client holds the options of every Kafka client the sink opens: seed brokers, TLS, SASL, client id.
	Client []kgo.Opt
	Prefix string // the first part of all topic names; it names the pipeline
	// TransactionalID is the producer's identity. The one that recovers with it last fences all others.
	TransactionalID string
	// Partitions is the configured partition count of table topics. Recover refuses a stored pipeline with another one
	// (rule 9); 0 does not compare.
	Partitions int32
	// Replication is the replication factor of new topics; 0 means 3, or the number of brokers where there are fewer.
	Replication int16
	// ReplayHorizon is how far back a reader can replay: retention of topics that are not compacted, compaction lag and
	// tombstone retention of those that are, retention of the progress topic. 0 means 7 days.
	ReplayHorizon time.Duration
	// MaxMessageBytes is the largest record batch, in bytes before compression, and max.message.bytes of new topics. 0
	// means 16 MiB.
	MaxMessageBytes int32
	// TransactionTimeout is how long a Kafka transaction may stay open before the broker ends it. 0 means one minute.
	TransactionTimeout time.Duration
	// Anew says that the stored state is about to be replaced (capture.Capture.ResnapshotAll): state that does not fit,
	// or cannot be read, causes a warning instead of a refusal.
	Anew        bool
	Compression string // Compression of record batches: lz4 (also if empty), zstd, snappy, gzip or none
	// BufferBytes bounds the keys and values that are produced and not acknowledged; Write blocks above it. It is
	// raised to MaxMessageBytes if lower. 0 means 64 MiB.
	BufferBytes int64
	// Release gives a chunk back once its records are acknowledged or failed and Kafka's client no longer reads it. It
	// is called on the goroutine that calls Write, Commit, Recover or Close, at the latest before a successful Commit
	// returns. nil: the caller takes its chunks back itself, after a successful Commit; after an error it drops them.
	Release func(*cdc.Chunk)
	Log     *zap.Logger // Log gets what an operator may have to act on; nil logs nothing
	// Metrics registers the dirtbike_kafka_ metrics until Close; nil keeps them unregistered.
	Metrics prometheus.Registerer
	Fault   cdc.Fault // for tests

	openGrace, fenceTime time.Duration // 0 is the constant of that name; shorter in tests
}

// Defaults of Options.
const (
	defaultReplayHorizon      = 7 * 24 * time.Hour
	defaultMaxMessageBytes    = 16 << 20
	defaultTransactionTimeout = time.Minute
	leastOwnMessageBytes      = 4 << 20
	defaultBufferBytes        = 64 << 20
)

var codecs = map[string]kgo.CompressionCodec{
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
	"snappy": kgo.SnappyCompression(),
	"gzip":   kgo.GzipCompression(),
	"none":   kgo.NoCompression(),
}

// complete checks the options and fills in what is 0.
func (o *Options) complete() error {
	switch {
	case o.Prefix == "":
		return fmt.Errorf("option Prefix is empty")
	case o.TransactionalID == "":
		return fmt.Errorf("option TransactionalID is empty")
	case o.Partitions < 0, o.Replication < 0, o.ReplayHorizon < 0, o.MaxMessageBytes < 0, o.TransactionTimeout < 0, o.BufferBytes < 0:
		return fmt.Errorf("an option is negative")
	}
	o.ReplayHorizon = cmp.Or(o.ReplayHorizon, defaultReplayHorizon)
	o.MaxMessageBytes = cmp.Or(o.MaxMessageBytes, defaultMaxMessageBytes)
	o.TransactionTimeout = cmp.Or(o.TransactionTimeout, defaultTransactionTimeout)
	o.Compression = cmp.Or(o.Compression, "lz4")
	o.BufferBytes = max(cmp.Or(o.BufferBytes, defaultBufferBytes), int64(o.MaxMessageBytes))
	o.Log = cmp.Or(o.Log, zap.NewNop())
	if _, ok := codecs[o.Compression]; !ok {
		return cdc.Failed("compression %q is unknown", o.Compression).Fix("lz4, zstd, snappy, gzip or none")
	}
	if int(o.MaxMessageBytes) <= recordOverhead {
		return fmt.Errorf("option MaxMessageBytes is %d, less than a record needs", o.MaxMessageBytes)
	}
	return nil
}

// clientOptions are those of the producing client, which also makes all requests.
func (o *Options) clientOptions() []kgo.Opt {
	return append(o.readerOptions(),
		kgo.TransactionalID(o.TransactionalID),
		kgo.TransactionTimeout(o.TransactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.StopProducerOnDataLossDetected(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[o.Compression]),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			if o.isOwn(topic) {
				return o.ownMessageBytes()
			}
			return o.MaxMessageBytes
		}),
		kgo.BrokerMaxWriteBytes(max(100<<20, 2*min(o.MaxMessageBytes, 1<<29))),
		kgo.MaxBufferedBytes(int(o.BufferBytes)),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.ProducerLinger(linger),
		kgo.RecordDeliveryTimeout(o.TransactionTimeout),
	)
}

// ownMessageBytes is the largest batch of the state and progress topics. Their records grow with the number of tables
// and columns, and have nothing to do with the size of rows.
func (o *Options) ownMessageBytes() int32 { return max(o.MaxMessageBytes, leastOwnMessageBytes) }

func (o *Options) stateTopic() string    { return schemas.StateTopic(o.Prefix) }
func (o *Options) progressTopic() string { return schemas.ProgressTopic(o.Prefix) }
func (o *Options) controlTopic() string  { return schemas.ControlTopic(o.Prefix) }

// isOwn reports whether a topic is the pipeline's, and no table's.
func (o *Options) isOwn(topic string) bool {
	return topic == o.stateTopic() || topic == o.progressTopic() || topic == o.controlTopic()
}

// readerOptions are those of a client that only reads.
func (o *Options) readerOptions() []kgo.Opt {
	return append(slices.Clone(o.Client),
		kgo.MaxDecompressBatchBytes(o.mostBatch()),
		kgo.BrokerMaxReadBytes(max(100<<20, 2*min(o.MaxMessageBytes, 1<<29))),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.WithLogger(clientLog{o.Log.Named("client")}),
	)
}

const (
	// batchOverhead is what a batch may have beyond kafka.max_message_bytes.
	batchOverhead = 1 << 20
	// maxBufferedRecords bounds the client's bookkeeping, about 300 bytes a record, when records are tiny.
	maxBufferedRecords = 1 << 18
	// linger lets batches grow. It delays nothing: Commit's flush ends it, and before the commit no reader sees the
	// records.
	linger         = 5 * time.Millisecond
	metadataMinAge = 50 * time.Millisecond // how soon a lost leader is looked up again
)

// clientLog passes on what the Kafka client logs, one level down: the client warns about what it then retries, and
// returns as an error what it cannot retry. The client logs no keys and values.
type clientLog struct{ log *zap.Logger }

func (l clientLog) Level() kgo.LogLevel {
	if l.log.Core().Enabled(zapcore.DebugLevel) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	fields := make([]zap.Field, 0, len(keyvals)/2)
	for i := 0; i+1 < len(keyvals); i += 2 {
		fields = append(fields, zap.Any(fmt.Sprint(keyvals[i]), keyvals[i+1]))
	}
	to := zapcore.InfoLevel
	if level >= kgo.LogLevelInfo {
		to = zapcore.DebugLevel
	}
	l.log.Log(to, msg, fields...)
}

var _ kgo.Logger = clientLog{}
