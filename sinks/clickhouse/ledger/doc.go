// Package ledger has all SQL about the tables in "<database>_raw" in which the loaders of a pipeline keep what they
// know: writing them and reading them, for the loaders themselves and for status, wait, verify and check.
//
// The tables, each a ReplacingMergeTree whose highest version of a key wins, so that a row may be written again at any
// time:
//
//	applied      how far a partition of a topic is in ClickHouse
//	generations  the open and end records of each copy of a table
//	cuts         the TRUNCATEs that hide earlier rows
//	quarantine   tables whose records are skipped, or that capture does not follow
//	gone         rows that are known to be missing
//	shown        which generation a table's view shows
//	complete     up to which commit a table is queryable; people read it through the view complete_up_to
//
// A loader writes them in this order (rules 13 and 21): opened generations, then rows, then quarantines, cuts, ended
// generations and missing rows, then applied offsets. A crash after any of these repeats the batch, which writes the
// same again.
package ledger
