package checks

import "dirtbike/cdc"

// Ready are the checks of /readyz, in the order in which it lists them. The first sentence of Safe and of Do is also what /readyz
// says where an error does not say it itself; its first word is written without a capital there.
var Ready = []Check{
	{
		Slug:    "clickhouse",
		Meaning: "ClickHouse does not answer at `clickhouse.url`, or refuses the login.",
		Safe:    "Changes wait in Kafka. Capture goes on, so Postgres' log is not held back; views answer as of `complete_up_to` once the server is back.",
		Do:      "See that ClickHouse runs and `clickhouse.url` is right. Load goes on by itself.",
	},
	{
		Slug: "slot",
		Meaning: "The replication slot is missing, was invalidated, is not read, or soon holds back more log than it may: less than 20 % of `max_slot_wal_keep_size` " +
			"(or of `source.wal_disk`) is left, or less than 4 hours at the rate at which the log held back has grown.",
		Safe: "Postgres keeps the log until the slot is lost. Everything that was committed to Kafka stays valid, and is not read again.",
		Do: "See that Postgres runs and `source.url` is right. While capture is down, start it: `dirtbike run`. While it runs, see which check fails beside this one: the log piles up " +
			"behind it, or behind a transaction that stays open in Postgres. To gain time, raise `max_slot_wal_keep_size`, as a superuser and to a size that the disk has room for: " +
			"`ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();` " +
			"If the slot is gone or lost: the same, so that it is not lost again, then `" + cdc.ResnapshotAllCommand + "`.",
	},
	{
		Slug:    "capture",
		Meaning: "The capture in this process is starting, or its last session ended with an error, which the line quotes.",
		Safe:    "Nothing that Kafka has is lost. Postgres keeps the log meanwhile: watch [slot](#check-slot).",
		Do:      "Mend what the line names. Capture tries again by itself; `dirtbike status` shows how much log waits.",
	},
	{
		Slug:    "tables",
		Meaning: "A table is quarantined (its changes are not written any more) or new (`source.tables` names it, but the running capture has not taken it on), or that could not be asked.",
		Safe:    "All other tables go on. The table's view stays as it was and is not called exact; the log is not held back.",
		Do:      "See that Postgres and ClickHouse answer, then `dirtbike status`. Its NOTE says for each table why, and what to do: a quarantined one comes back by `dirtbike resnapshot schema.table`, with capture stopped; a new one by a restart of capture, once what keeps it out is mended.",
	},
	{
		Slug:    "exact",
		Meaning: "ClickHouse is not complete up to any commit yet, or a table is not equal to its source as of `complete_up_to`: its copy is under way, it is quarantined, or it is new.",
		Safe:    "`complete_up_to` says so for each table. Views of the other tables are right.",
		Do:      "See that Postgres and ClickHouse answer, then `dirtbike wait`. It returns when a copy is complete, and ends early at a table that waiting does not mend.",
	},
	{
		Slug:    "kafka",
		Meaning: "No broker of `kafka.brokers` answers, or the brokers refuse the login.",
		Safe:    "What was committed is safe. Postgres keeps the log meanwhile: watch [slot](#check-slot); ClickHouse answers, and falls behind.",
		Do:      "Look at the brokers named in `kafka.brokers`. Capture and load go on by themselves.",
	},
	{
		Slug:    "horizon",
		Meaning: "What ClickHouse is complete up to is older than half of `kafka.replay_horizon`. A loader that is late by the whole of it refuses to go on, since Kafka may have dropped what it needs.",
		Safe:    "Nothing is lost until the whole horizon has passed.",
		Do:      "See that ClickHouse runs and `clickhouse.url` is right. Then bring capture and load up, `dirtbike run`, and look at the checks that fail beside this one.",
	},
	{
		Slug:    "load",
		Meaning: "The loader's newest work failed and is tried again; the line quotes the error.",
		Safe:    "Changes wait in Kafka. A replay changes nothing, since every table is idempotent by key.",
		Do:      "See that Kafka and ClickHouse answer. Load goes on by itself; `dirtbike status` shows how far it is behind.",
	},
}

// Find gives the check of a slug; ok is false if there is none.
func Find(slug string) (c Check, ok bool) {
	for _, c := range All() {
		if c.Slug == slug {
			return c, true
		}
	}
	return Check{}, false
}
