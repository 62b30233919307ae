// Package avro writes and reads what is in the topics: the Avro schemas of keys, envelopes and control records, the
// compiled encoder from Postgres' wire values to records, and the reader back (cdc/EXACTNESS.md, "Formats"). It is the
// only importer of hamba/avro, which parses schemas here; the hot loops are this package's own.
package avro
