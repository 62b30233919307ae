package config

import "time"

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
