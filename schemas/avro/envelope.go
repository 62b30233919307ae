package avro

import "dirtbike/schemas"

// envelopeRecord is the record around two Value records; cdc/EXACTNESS.md, "Formats", lists its fields.
func envelopeRecord(topic string, value recordJSON) recordJSON {
	return recordJSON{
		Type: "record", Name: topic + schemas.EnvelopeSuffix, Doc: "One change of " + value.Table + ".",
		Fields: []fieldJSON{
			{Name: "before", Type: []any{"null", value}, Default: nullDefault, Doc: "the old row, if the source sent it whole; of a delete otherwise the key, and nulls"},
			{Name: "after", Type: []any{"null", value.Name}, Default: nullDefault, Doc: "the new row; null for d"},
			{Name: "source", Type: sourceRecord(topic), Doc: "where the change stands in the source"},
			{Name: "op", Type: "string", Doc: "c create, u update, d delete, r read by a snapshot"},
			{Name: "ts_us", Type: "long", Doc: "when the record was encoded, microseconds since 1970-01-01 UTC"},
			{Name: "unchanged", Type: arrayJSON{Type: "array", Items: "string"}, Default: []string{},
				Doc: "fields whose value is not in this record; null there does not mean NULL"},
			{Name: "reread", Type: arrayJSON{Type: "array", Items: "string"}, Default: []string{}, Doc: "fields read from the table after the change"},
			{Name: "gone", Type: "boolean", Default: false, Doc: "the row was gone when fields were to be read from the table: skip this record"},
			{Name: "inexact", Type: mapJSON{Type: "map", Values: "string"}, Default: struct{}{},
				Doc: "field to exact text, for values that the field's type cannot hold (null there); before.FIELD for the old row of an update"},
		},
	}
}

func sourceRecord(topic string) recordJSON {
	r := recordJSON{Type: "record", Name: topic + schemas.SourceSuffix}
	for _, f := range [...][3]string{
		{"epoch", "long", "counts the histories of the source"},
		{"lsn", "long", "of the change's own WAL record; for information"},
		{"commit_lsn", "long", "orders changes: epoch, commit_lsn, ordinal"},
		{"ordinal", "long", "counts the rows of a transaction from 1"},
		{"tx_id", "long", "the transaction's id, 0 for snapshots"},
		{"ts_us", "long", "commit time, microseconds since 1970-01-01 UTC"},
		{"snapshot", "boolean", "read by a snapshot, not from the log"},
		{"generation", "long", "counts the full copies of the table"},
		{"leaf", "long", "OID of the partition the row lives in, 0 if the table has none"},
		{"db", "string", ""},
		{"schema", "string", ""},
		{"table", "string", ""},
	} {
		r.Fields = append(r.Fields, fieldJSON{Name: f[0], Type: f[1], Doc: f[2]})
		if f[0] == "generation" { // the default is for registries that know the schemas of older releases
			r.Fields = append(r.Fields, fieldJSON{
				Name: "controls", Type: "long", Doc: "number of the generation's last record in the control topic before this one", Default: zeroDefault,
			})
		}
	}
	return r
}

type mapJSON struct {
	Type   string `json:"type"`
	Values any    `json:"values"`
}
