package config

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
	Keys map[string][]string `yaml:"keys"`
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
