package cdc

// Progress is a record of the progress topic (rule 8). JSON field names are a format.
type Progress struct {
	Format    int    `json:"format"`
	Epoch     uint32 `json:"epoch"`
	CommitLSN LSN    `json:"commit_lsn"`
	Ordinal   uint32 `json:"ordinal"`
	// LSN: every commit that ends at or before it is in.
	LSN LSN `json:"lsn"`
	// TimeUS is the time of the commit, microseconds since 1970-01-01 UTC.
	TimeUS int64 `json:"time_us"`
	// Full says that the record names every offset and table, not only what changed since the one before.
	Full bool `json:"full"`
	// Offsets are the last offset + 1 of records up to this commit, by topic and partition.
	Offsets map[string]map[string]int64 `json:"offsets"`
	// Tables by "schema.table", real names.
	Tables map[string]TableProgress `json:"tables"`
}

// TableProgress is a table's entry in a progress record.
type TableProgress struct {
	Phase      TablePhase `json:"phase"`
	Reason     string     `json:"reason,omitempty"`
	Generation uint32     `json:"generation"`
	// Controls is the number of the generation's last control record, which stands in each of the Partitions partitions
	// of Topic.
	Controls   uint32 `json:"controls"`
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"`
}

// Position of the commit.
func (p *Progress) Position() Position {
	return Position{Epoch: p.Epoch, CommitLSN: p.CommitLSN, Ordinal: p.Ordinal}
}
