// Package status asks Postgres, ClickHouse and Kafka how the pipeline is and assembles the answer that the verb
// `status` prints and /status gives: positions, tables, how much log Postgres may still keep for the slot, and the
// checks of readiness, which say what is wrong and what to do before Postgres' disk is full.
package status
