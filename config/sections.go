package config

import "time"

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
	// hosts reach needs a token, tls, or both.
	Listen string `yaml:"listen" default:"127.0.0.1:8085"`
	// What a request must send, as "Authorization: Bearer …", except for /livez, since probes cannot send it; never
	// printed. At least 16 letters, digits or any of -._~+/=.
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
