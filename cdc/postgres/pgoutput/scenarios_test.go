package pgoutput

import "fmt"

// awaitRequest waits for a keepalive that requests a reply.
var awaitRequest = Kind(FrameKeepalive)

// step runs SQL on the writing connection, then waits until so many messages of a kind have come.
type step struct {
	sql   string
	await Kind
	times int
}

// scenario is one golden: what is set up before the slot exists, how the stream is asked for, and what is then done.
type scenario struct {
	name  string
	setup string
	// publication is what follows CREATE PUBLICATION golden.
	publication string
	options     []string
	// since is the first major version of Postgres that can do it; 0: all.
	since int
	// frames records whole CopyData payloads instead of messages.
	frames bool
	steps  []step
}

const (
	protocol1 = "proto_version '1'"
	protocol2 = "proto_version '2'"
	protocol4 = "proto_version '4'"
)

// The clinic's table has each kind of value; Type messages come for mood. `wide` makes a row cost 7 kB of decoding
// memory (64 kB start a stream) though a column list keeps it out of the messages.
const (
	clinicTables = `
CREATE TYPE mood AS ENUM ('calm', 'tense');
CREATE TABLE patients (id int PRIMARY KEY, name varchar(20), mood mood, born date, balance numeric(10,2), note text);`
	wideTables = `
CREATE TYPE mood AS ENUM ('calm', 'tense');
CREATE TABLE visits (id int PRIMARY KEY, mood mood, wide text);
ALTER TABLE visits ALTER wide SET STORAGE PLAIN;
CREATE TABLE rooms (id int PRIMARY KEY);`
	visitsWithoutWide = `FOR TABLE visits (id, mood), rooms`
)

var changes = []step{
	{"INSERT INTO patients VALUES (1, 'Ada Ash', 'calm', '1970-02-03', 12.50, 'first'), (2, '', NULL, NULL, NULL, 'Zoë')", 'C', 1},
	{"UPDATE patients SET balance = -0.01, note = NULL WHERE id = 1", 'C', 1},
	{"UPDATE patients SET id = 3, born = 'infinity' WHERE id = 1", 'C', 1},
	{"DELETE FROM patients WHERE id = 2", 'C', 1},
	{"ALTER TABLE patients ADD ward smallint DEFAULT 4; INSERT INTO patients (id) VALUES (5)", 'C', 1},
}

// segments makes streamed segments with everything that may be in one, a sub-transaction that aborts after it was sent,
// a transaction that aborts as a whole, and one that commits.
var segments = []step{
	{"BEGIN; " + visits(1, 12), 'E', 1},
	{"SAVEPOINT doubt; INSERT INTO rooms VALUES (7); " + visits(100, 12), 'E', 1},
	{"ROLLBACK TO doubt; TRUNCATE rooms; SELECT pg_logical_emit_message(true, 'note', 'in stream'); " +
		"UPDATE visits SET id = 50 WHERE id = 1; DELETE FROM visits WHERE id = 2; " + visits(200, 12), 'E', 1},
	{"COMMIT", 'c', 1},
	{"BEGIN; " + visits(300, 12), 'E', 1},
	{"ROLLBACK", 'A', 1},
}

func visits(from, count int) string {
	return fmt.Sprintf("INSERT INTO visits SELECT n, 'tense', repeat('w', 7000) FROM generate_series(%d, %d) n", from, from+count-1)
}

var scenarios = []scenario{
	{name: "changes_text", setup: clinicTables, publication: "FOR ALL TABLES", options: []string{protocol1}, steps: changes},
	{name: "changes_binary", setup: clinicTables, publication: "FOR ALL TABLES", options: []string{protocol1, "binary 'true'"}, steps: changes},
	{
		name: "identity", publication: "FOR ALL TABLES", options: []string{protocol1},
		setup: `
CREATE TABLE by_full (id int PRIMARY KEY, v text); ALTER TABLE by_full REPLICA IDENTITY FULL;
CREATE TABLE by_index (id int PRIMARY KEY, source text NOT NULL, seq int NOT NULL, v text);
CREATE UNIQUE INDEX by_index_key ON by_index (source, seq); ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE by_nothing (id int PRIMARY KEY); ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE no_columns ();`,
		steps: []step{
			{"INSERT INTO by_full VALUES (1, 'a'), (2, NULL); INSERT INTO by_index VALUES (1, 's', 1, 'a'), (2, 's', 2, NULL)", 'C', 1},
			{"UPDATE by_full SET v = 'b' WHERE id = 1; UPDATE by_full SET id = 3 WHERE id = 1; DELETE FROM by_full", 'C', 1},
			{"UPDATE by_index SET v = 'b'; UPDATE by_index SET seq = 3 WHERE id = 1; DELETE FROM by_index", 'C', 1},
			{"INSERT INTO by_nothing VALUES (1); INSERT INTO no_columns DEFAULT VALUES", 'C', 1},
		},
	},
	{
		name: "toast", publication: "FOR ALL TABLES", options: []string{protocol1, "binary 'true'"},
		setup: `
CREATE TABLE letters (id int PRIMARY KEY, body text, v int) WITH (toast_tuple_target = 128);
ALTER TABLE letters ALTER body SET STORAGE EXTERNAL;
CREATE TABLE letters_full (LIKE letters INCLUDING ALL) WITH (toast_tuple_target = 128); ALTER TABLE letters_full REPLICA IDENTITY FULL;
INSERT INTO letters VALUES (1, repeat('letter ', 300), 1); INSERT INTO letters_full SELECT * FROM letters;`,
		steps: []step{
			{"UPDATE letters SET v = 2", 'C', 1},
			{"UPDATE letters SET id = 2", 'C', 1},
			{"UPDATE letters_full SET v = 2", 'C', 1},
			{"DELETE FROM letters", 'C', 1},
		},
	},
	{
		name: "truncate", publication: "FOR ALL TABLES", options: []string{protocol1},
		setup: `
CREATE TABLE claims (id serial PRIMARY KEY); CREATE TABLE claim_lines (id int PRIMARY KEY, claim int REFERENCES claims);
CREATE TABLE alone (id int PRIMARY KEY);`,
		steps: []step{
			{"TRUNCATE claims CASCADE", 'C', 1},
			{"TRUNCATE claims, claim_lines, alone RESTART IDENTITY", 'C', 1},
			{"TRUNCATE alone", 'C', 1},
		},
	},
	{
		name: "logical_messages", publication: "FOR ALL TABLES", options: []string{protocol1, "messages 'true'"},
		setup: "CREATE TABLE t (id int PRIMARY KEY);",
		steps: []step{
			{"SELECT pg_logical_emit_message(true, 'ddl', 'in a transaction'), pg_logical_emit_message(true, '', '')", 'C', 1},
			{`BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(false, 'now', '\x00ff'::bytea); COMMIT`, 'C', 1},
		},
	},
	{
		name: "origin", publication: "FOR ALL TABLES", options: []string{protocol1},
		setup: "CREATE TABLE t (id int PRIMARY KEY); SELECT pg_replication_origin_create('upstream');",
		steps: []step{{`BEGIN; SELECT pg_replication_origin_session_setup('upstream'), pg_replication_origin_xact_setup('16/B374D848', '2026-01-02 03:04:05Z');
INSERT INTO t VALUES (1); COMMIT; SELECT pg_replication_origin_session_reset()`, 'C', 1}},
	},
	{
		name: "stream", publication: visitsWithoutWide, setup: wideTables, steps: segments,
		options: []string{protocol2, "streaming 'true'", "messages 'true'"},
	},
	{
		name: "stream_binary", publication: visitsWithoutWide, setup: wideTables, steps: segments,
		options: []string{protocol2, "streaming 'true'", "messages 'true'", "binary 'true'"},
	},
	{
		name: "stream_parallel", publication: visitsWithoutWide, setup: wideTables, steps: segments, since: 16,
		options: []string{protocol4, "streaming 'parallel'", "messages 'true'"},
	},
	{
		name: "frames", publication: "FOR ALL TABLES", options: []string{protocol1}, frames: true,
		setup: "CREATE TABLE t (id int PRIMARY KEY);",
		steps: []step{
			{"INSERT INTO t VALUES (1)", 'C', 1},
			{"", awaitRequest, 1},
		},
	},
}
