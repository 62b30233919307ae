package config

import (
	"time"
)

// Registry is a schema registry with Confluent's API.
type Registry struct {
	// Address of the registry, http:// or https://. It may hold a password, so it is never printed.
	URL Secret `yaml:"url" required:"true" rotates:"login" example:"http://registry:8081"`
	// User for basic authentication; empty for none.
	User string `yaml:"user" rotates:"all"`
	// Password for basic authentication; never printed.
	Password Secret `yaml:"password" rotates:"all"`
	// Authorities and client certificate for https. Without it the system's authorities are trusted.
	TLS *TLS `yaml:"tls" rotates:"all"`
}

// ClickHouse is the server that holds the tables, and how they are loaded.
type ClickHouse struct {
	// Address of the native port, clickhouse://user:password@host:9000. It may hold a password, so it is never printed.
	URL Secret `yaml:"url" required:"true" rotates:"login" example:"\"clickhouse://dirtbike:${env:CLICKHOUSE_PASSWORD}@ch:9000\""`
	// Database of the views that people query. The storage is kept in <database>_raw.
	Database string `yaml:"database" default:"dirtbike" pattern:"^[A-Za-z_][A-Za-z0-9_]{0,127}$"`
	// How batches are cut.
	Load LoadLimits `yaml:"load"`
	// Encrypt connections. `tls: {}` trusts the system's authorities; without the key connections are plain.
	TLS *TLS `yaml:"tls" rotates:"all"`
}

// LoadLimits bounds the batches that are written to ClickHouse. A batch ends at the limit that it reaches first.
type LoadLimits struct {
	// Most rows of a batch.
	BatchRows int `yaml:"batch_rows" default:"100000" min:"1" max:"10000000"`
	// Most bytes of a batch, of all its tables together; never more than a sixteenth of memory.
	BatchBytes ByteSize `yaml:"batch_bytes" default:"64MB" min:"64KB"`
	// Longest time that a change waits for its batch to fill.
	FlushInterval time.Duration `yaml:"flush_interval" default:"50ms" min:"1ms" max:"1m"`
	// Most memory for records that are fetched but not yet written; when it is used up, fetching waits. At least
	// batch_bytes.
	Memory ByteSize `yaml:"memory" default:"256MB" min:"1MB"`
}

// Rollup is a declared aggregate: a name with its SQL, or a glob of files that each hold one.
type Rollup struct {
	// Name of the rollup and of its view in ClickHouse.
	Name string `yaml:"name" pattern:"^[A-Za-z_][A-Za-z0-9_]{0,127}$" example:"daily"`
	// The SELECT over captured tables whose result is kept.
	SQL string `yaml:"sql"`
	// Instead of name and sql: a glob of .sql files, relative to the config; each file's name is the rollup's.
	Files string `yaml:"files"`
}

// Ops is how operators see the process: health and metrics.
type Ops struct {
	// Address of the health and metrics endpoints, host:port. Port 0 takes a free one and prints it. One that other
	// hosts reach needs a token, or tls with the authority of client certificates, or both.
	Listen string `yaml:"listen" default:"127.0.0.1:8085"`
	// What a request must send, as "Authorization: Bearer …", except for /livez, since probes cannot send it; never
	// printed. At least 16 letters, digits or any of -._~+/=, that nobody can
	// guess.
	Token Secret `yaml:"token" rotates:"all" example:"\"${file:secrets/ops.token}\""`
	// Answer over https only.
	TLS *ServerTLS `yaml:"tls"`
}

// Verify is how the two sides are compared.
type Verify struct {
	// Rows compared at once, in one short transaction.
	ChunkRows int `yaml:"chunk_rows" default:"10000" min:"1" max:"1000000"`
	// Most rows read from Postgres per second. 0 means no limit.
	RowsPerSecond int `yaml:"rows_per_second" default:"50000" min:"0"`
}

// Kafka is the cluster that holds the topics, and how they are made and written.
type Kafka struct {
	// Bootstrap brokers, each host:port.
	Brokers []string `yaml:"brokers" required:"true" example:"[\"kafka:9092\"]"`
	// First part of every topic's name, <prefix>.<schema>.<table>.
	Prefix string `yaml:"prefix" default:"dirtbike" pattern:"^[A-Za-z][A-Za-z0-9_]*$"`
	// Partitions of every topic of the pipeline, chosen once: a difference from the count that was stored at the first
	// start stops capture, since keys would move between partitions.
	Partitions int `yaml:"partitions" default:"6" min:"1" max:"10000"`
	// Copies of a new topic. 0 means 3, or the number of brokers where there are fewer.
	Replication int `yaml:"replication" default:"0" min:"0" max:"32"`
	// How far back a reader can replay a topic that is not compacted: its retention.
	ReplayHorizon time.Duration `yaml:"replay_horizon" default:"168h" min:"1s"`
	// Which topics have a tombstone (the key with a null value) after each delete: all, or only those that are
	// compacted, which need them.
	Tombstones Tombstones `yaml:"tombstones" default:"always"`
	// Most bytes that one Kafka transaction holds; a larger Postgres transaction is published in several.
	MaxTransaction ByteSize `yaml:"max_transaction" default:"256MB" min:"64KB"`
	// After this long without an end the broker aborts a Kafka transaction. At most the broker's
	// transaction.max.timeout.ms.
	TransactionTimeout time.Duration `yaml:"transaction_timeout" default:"60s" min:"1s" max:"15m"`
	// Largest record, and max.message.bytes of new topics.
	MaxMessageBytes ByteSize `yaml:"max_message_bytes" default:"16MB" min:"64KB" max:"1GB"`
	// Compression of record batches.
	Compression Compression `yaml:"compression" default:"lz4"`
	// Encrypt connections. `tls: {}` trusts the system's authorities; without the key connections are plain.
	TLS *TLS `yaml:"tls" rotates:"all"`
	// Log in to the brokers.
	SASL *SASL `yaml:"sasl" rotates:"all"`
}

// Tombstones says which topics have tombstones.
type Tombstones string

// Always is what common readers expect of a change log.
const (
	TombstonesAlways    Tombstones = "always"
	TombstonesCompacted Tombstones = "compacted"
)

// Values lists every Tombstones.
func (Tombstones) Values() []string { return enumeration(TombstonesAlways, TombstonesCompacted) }

// Compression is a codec for Kafka record batches.
type Compression string

// The codecs that every supported broker and client understands.
const (
	CompressionNone   Compression = "none"
	CompressionGzip   Compression = "gzip"
	CompressionSnappy Compression = "snappy"
	CompressionLZ4    Compression = "lz4"
	CompressionZstd   Compression = "zstd"
)

// Values lists every Compression.
func (Compression) Values() []string {
	return enumeration(CompressionNone, CompressionGzip, CompressionSnappy, CompressionLZ4, CompressionZstd)
}

// SASL is a login at the brokers.
type SASL struct {
	// How the password is sent or proved.
	Mechanism Mechanism `yaml:"mechanism" required:"true" example:"SCRAM-SHA-512"`
	// Name of the user.
	User string `yaml:"user" required:"true" example:"dirtbike"`
	// Password of the user; never printed.
	Password Secret `yaml:"password" required:"true" example:"\"${env:KAFKA_PASSWORD}\""`
}

// Mechanism is a SASL mechanism.
type Mechanism string

// The mechanisms supported.
const (
	MechanismPlain       Mechanism = "PLAIN"
	MechanismScramSHA256 Mechanism = "SCRAM-SHA-256"
	MechanismScramSHA512 Mechanism = "SCRAM-SHA-512"
)

// Values lists every Mechanism.
func (Mechanism) Values() []string {
	return enumeration(MechanismPlain, MechanismScramSHA256, MechanismScramSHA512)
}

// Source is the Postgres database that is followed, and which tables of it.
type Source struct {
	// Connection to the primary: a postgres:// URL or a libpq "key=value" string, with libpq's sslmode, sslrootcert,
	// sslcert and sslkey (absolute paths). It may hold a password, so it is never printed.
	URL Secret `yaml:"url" required:"true" rotates:"login" example:"\"postgres://dirtbike:${env:PGPASSWORD}@db:5432/clinic\""`
	// Globs of schema.table that are captured; * stands for any run of characters, ? for one. A leading "!" excludes,
	// at any place in the list. System schemas never match.
	Tables []string `yaml:"tables" default:"[\"public.*\"]"`
	// Name of the logical replication slot.
	Slot string `yaml:"slot" default:"dirtbike" pattern:"^[a-z0-9_]{1,63}$"`
	// Name of the publication.
	Publication string `yaml:"publication" default:"dirtbike" pattern:"^[A-Za-z_][A-Za-z0-9_]{0,62}$"`
	// Key columns per schema.table, only for tables that have neither a primary key nor a replica identity index.
	Keys map[string][]string `yaml:"keys" example:"{public.events: [id]}"`
	// How much log Postgres' disk can hold: what is free there and the log it has. Postgres does not report it, so
	// status and the check slot count the hours until it is full from this; 0 means unknown. max_slot_wal_keep_size, if
	// set, counts too: whichever is met first.
	WALDisk ByteSize `yaml:"wal_disk" default:"0" example:"200GB"`
	// The first copy of the tables.
	Snapshot Snapshot `yaml:"snapshot"`

	at *positions
}

// Snapshot is how the first copy reads.
type Snapshot struct {
	// Tables (or parts of them) copied at the same time, each with a connection of its own.
	Workers int `yaml:"workers" default:"2" min:"1" max:"64"`
}
