// Package pgoutput turns the bytes of Postgres' logical replication protocol into typed messages: pure functions, no
// I/O, no state beyond reused memory, and no allocation per row.
//
//   - ParseFrame reads one CopyData payload of a replication connection (XLogData or keepalive).
//   - Decoder.Decode reads one message of the output plugin pgoutput, protocol versions 1 to 4, without
//     two_phase.
//
// The source of every layout is the Postgres manual, "Logical Replication Message Formats" and "Streaming Replication
// Protocol"; goldens recorded from real servers are in testdata.
//
// The decoder is strict, since a byte that is misread here becomes a wrong row everywhere: an unknown kind, an unknown
// flag, a count that the rest of the message cannot hold, a missing byte and a byte too many are errors. An error names
// the kind of message, the offset in it and what was expected; it never holds a byte of a row.
package pgoutput
