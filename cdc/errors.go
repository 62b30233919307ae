package cdc

import (
	"errors"
	"regexp"
	"strings"
)

// What an error means for the pipeline. They are wrapped with where and what to do.
var (
	// ErrFenced says that another capture with the same slot and prefix has taken over.
	ErrFenced = errors.New("another capture has taken over")
	// ErrGap says that the source can no longer give the changes after the stored position.
	ErrGap = errors.New("changes are missing between the stored position and the source")
	// ErrRefused says that configuration, source and state do not fit together; the operator has to decide.
	ErrRefused = errors.New("refused")
	// ErrUnreachable says that a server did not answer: the session is retried, no table is to blame.
	ErrUnreachable = errors.New("unreachable")
	// ErrNoTopic says that a topic is not there.
	ErrNoTopic = errors.New("the topic is not there")
	// ErrNotVisible says that a snapshot does not see yet what was published already; a later one will.
	ErrNotVisible = errors.New("what was published cannot be seen yet (does a commit wait for a synchronous standby?)")
	// ErrTableLocked says that somebody holds a lock on the table for longer than a reader waits.
	ErrTableLocked = errors.New("the table is locked")
	// ErrTableChanged says that a table is not as it was described.
	ErrTableChanged = errors.New("the table was altered meanwhile")
	// ErrSchema says that the schema registry will not take a table's schema: that table cannot go on, the others can.
	ErrSchema = errors.New("the registry refuses the schema")
)

// ResnapshotCommand is the way out for quarantined tables, each "schema.table": a new generation of them. It can be
// typed as it is; the verb itself says that capture must be stopped.
func ResnapshotCommand(tables ...string) string {
	words := []string{resnapshot}
	for _, table := range tables {
		words = append(words, ShellWord(table))
	}
	return strings.Join(words, " ")
}

const resnapshot = "dirtbike resnapshot"

// copies finds the command in a text, and what comes before it.
var copies = regexp.MustCompile(`(\bthen )?` + resnapshot + ` ([^-\s])`)

// StopFirst says in front of ResnapshotCommand, in a text that is printed while a capture may run, that it has to be
// stopped for that. A text that says so already stays as it is.
func StopFirst(text string) string {
	if strings.Contains(strings.ToLower(text), "stop capture") {
		return text
	}
	return copies.ReplaceAllStringFunc(text, func(found string) string {
		if command, after := strings.CutPrefix(found, "then "); after {
			return "then stop capture and " + command
		}
		return "stop capture, then " + found
	})
}

// ResnapshotAllCommand is the way out when capture cannot continue from slot and state: new generations of all tables
// under the next epoch, from a new slot.
const ResnapshotAllCommand = resnapshot + " --all"

// LostSlotCommand is the way out of a slot that Postgres has invalidated, for what pg_replication_slots has as the
// invalidation_reason ("" before Postgres 17): without its first step the new slot would be lost, too.
func LostSlotCommand(reason string) string {
	if reason == "idle_timeout" {
		return "raise idle_replication_slot_timeout, then " + ResnapshotAllCommand
	}
	return "raise max_slot_wal_keep_size, then " + ResnapshotAllCommand
}

// PurgeCommand is what deletes from a table's topic what is from before its present copy.
func PurgeCommand(table string) string { return "dirtbike purge " + ShellWord(table) }
