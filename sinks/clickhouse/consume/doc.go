// Package consume reads the pipeline's topics as a member of a consumer group: it decides where assigned partitions
// start, what is done where a topic does not continue what ClickHouse has, and notices when topics are replaced.
// Offsets come from ClickHouse alone (rule 21).
package consume
