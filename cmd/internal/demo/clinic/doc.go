// Package clinic makes the synthetic clinic of "dirtbike demo": its schema, about a million rows that are the same for
// the same seed (Fill), clients that change them (Workload), and the nightly-ETL question asked of Postgres and of
// ClickHouse (RunPostgres, RunClickHouse).
//
// Every person in it is invented: social security numbers are in the 900 area that is never issued, telephone numbers
// in 555-01xx, e-mail addresses under example.com.
package clinic
