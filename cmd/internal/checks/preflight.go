package checks

// What several checks have in common.
const (
	nothingStarted = "Nothing was started or changed."
	keptInPostgres = "A pipeline that runs goes on; what it has not read yet, Postgres keeps."
	addressOf      = "See that it runs, and that the config names its address and login; `dirtbike check` says which of them failed."
)

// Preflight are the checks of `dirtbike check`, in the order in which it lists them.
var Preflight = []Check{
	{"config-file", "The config was read; if it cannot be, `check` ends with 2 and says line and key.", nothingStarted, "Nothing: it never fails."},
	{"config-privacy", "The config has no `privacy` section: every column of every captured table leaves Postgres as it is.", "What was published before stays as it was.", "Draft an allowlist with `dirtbike init --source URL --out allowlist.yaml`, and take its `privacy` section over."},
	{"config-names", "A table, column or glob in the config is not in the database. A first start is refused; a later one goes on without it, so that it is a warning as soon as a state is stored, unless a captured table has lost its name in `source.tables` at the same time.", nothingStarted, "At the place that the message gives write the name that it proposes, or remove it."},
	{"config-policies", "A column policy does not fit its table: it names a column that the table does not have (misspelt, renamed or dropped), a key column may only be kept or hashed, a postal code must be a text.", "Nothing of the table is published.", "Write the column that the message proposes in place of the one that is not there, or remove it; else set the policy that the command names, or leave the table out."},
	{"postgres-encryption", "The connection to a Postgres on another machine is, or may become, readable for others.", "Nothing is lost; rows and the password can be read along.", "Set `sslmode=verify-full` and `sslrootcert` in `source.url`."},
	{"postgres-connect", "Postgres did not answer, or refused user, password or database.", keptInPostgres, addressOf},
	{"postgres-version", "The server's version is not among the supported ones, 14 to 18.", nothingStarted, "Use a server of a supported version."},
	{"postgres-primary", "The server is a standby. The stream is read from the primary.", nothingStarted, "Set `source.url` to the primary's address."},
	{"postgres-wal-level", "Without `wal_level = logical` the log does not hold what a stream of changes needs.", nothingStarted, "Run the printed statement as a superuser, then restart Postgres; where only the restart is printed, the setting is made already."},
	{"postgres-encoding", "The database is in SQL_ASCII, so that nobody knows what its texts mean.", nothingStarted, "Use a database with `ENCODING 'UTF8'`."},
	{"postgres-role", "The role of `source.url` has no right to replicate.", nothingStarted, "Run the printed statement as a superuser."},
	{"postgres-slots", "`max_replication_slots` leaves no room for dirtbike's slot, or none for one more, which a copy that starts later needs for a while.", "Slots that are there are not touched.", "Run the printed statement and restart Postgres, or drop a slot that nobody uses."},
	{"postgres-walsenders", "`max_wal_senders` leaves no room for the stream, or none for a copy that starts later.", "Connections that are there are not touched.", "Run the printed statement and restart Postgres."},
	{"postgres-wal-keep", "While dirtbike is down Postgres keeps its log for it: without `max_slot_wal_keep_size` until the disk is full. With `idle_replication_slot_timeout` it gives the slot up.", "As long as the slot is kept nothing is lost.", "Run the printed statement, with a size below the disk's free space: what Postgres writes in as many hours as dirtbike may be down. With `source.wal_disk` set, `check` proposes a quarter of it."},
	{"postgres-failover", "The slot is kept over a failover, but `synchronized_standby_slots` is empty: capture may be ahead of the standby that is promoted.", "Capture notices it and stops with the choice; nothing is lost silently.", "Name the standby's physical slot in `synchronized_standby_slots`."},
	{"postgres-clock", "Postgres' clock and this machine's are apart.", "Order and exactness do not depend on clocks; lags and commit times shown are wrong by the difference.", "Let both follow a time server."},
	{"postgres-replication", "A replication connection did not open.", keptInPostgres, "Do what the message says; see also `pg_hba.conf` and `max_wal_senders`."},
	{"postgres-names", "Two tables would share a topic or a view, or one would take a name that dirtbike needs.", "None of them is published as long as it is so.", "Leave one of them out with the printed `source.tables`."},
	{"postgres-tables", "A table that `source.tables` names cannot be captured: no key, deferrable key, unlogged, partitioned, identity NOTHING.", "The other tables are not concerned, but a first start is refused until it is mended or left out.", "Run the printed statements as the role that `check` names, or leave the table out with the printed `source.tables`. `SET LOGGED` writes the whole table anew, and a new key its index; nobody else reads or writes the table meanwhile: run them in a quiet hour."},
	{"postgres-schemas", "The role has no USAGE on a schema, so that it reads none of its tables.", nothingStarted, "Run the printed statement as the role that `check` names: the schemas' owner, or a superuser where they have several."},
	{"postgres-select", "The role may not read a table, so that the first copy fails.", nothingStarted, "Run the printed statement as the role that `check` names: the tables' owner, or a superuser where they have several."},
	{"postgres-row-security", "Row-level security hides rows from the role: the copy would see fewer than the log.", "The copy is refused rather than made with rows missing.", "Run the printed statement as a superuser."},
	{"postgres-identity", "A table has large values and a key that may change. After a change of the key they are read again from the table, since the log does not repeat them.", "They are never NULL; a row that is gone by then leaves its table inexact, and `status` says so.", "Run the printed statements as the role that `check` names; they make updates write more log."},
	{"postgres-publication", "The publication lacks tables or changes, and dirtbike may not mend it; or it is not there, and dirtbike may not make it. Only a superuser can, or a role that owns all the tables and the publication, or has CREATE on the database to make it.", "What is in the publication is read on.", "Run the printed statements as the role that `check` names, after those for tables that cannot be captured yet."},
	{"postgres-slot", "The slot is gone or lost although a stored state goes on from it, is about to be lost, or could not be read.", "What was read from it is in Kafka.", "If it is about to be lost, start capture and run the printed statement. If it is lost, it outgrew `max_slot_wal_keep_size`: let it hold more, as a superuser and with a size that the disk has room for, by `ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();`. If it is gone or lost: `dirtbike resnapshot --all`."},
	{"kafka-encryption", "The connection to brokers on another machine is not encrypted.", "Nothing is lost; rows and passwords can be read along.", "Set `kafka.tls`, if the brokers have such a listener."},
	{"kafka-connect", "No broker answered, or they refused the login.", keptInPostgres, addressOf},
	{"kafka-version", "A broker does not know what 2.8 does: Metadata v10, since load remembers its place by the ids of topics, and InitProducerID v3, by which a capture goes on.", nothingStarted, "Upgrade the brokers."},
	{"kafka-replication", "`kafka.replication` asks for more copies than there are brokers.", nothingStarted, "Lower `kafka.replication`, or add brokers."},
	{"kafka-cluster-rights", "The user may not see the brokers' settings, so that limits are not compared beforehand.", "A start goes on without it.", "Run the printed `kafka-acls.sh` as an administrator."},
	{"kafka-transaction-timeout", "`kafka.transaction_timeout` is above the brokers' `transaction.max.timeout.ms`: they refuse every transaction.", nothingStarted, "Set the printed `kafka.transaction_timeout`, or raise the brokers' setting."},
	{"kafka-message-size", "A topic or the brokers take smaller messages than `kafka.max_message_bytes`.", "A row that is too large would quarantine its table only.", "Run the printed `kafka-configs.sh` as an administrator, or set the printed `kafka.max_message_bytes`."},
	{"kafka-topics", "A topic that is there has another partition count or clean-up policy than dirtbike needs, or the brokers would not make a new one so.", "dirtbike never changes a topic that is there.", "Run the printed command as an administrator, or set the printed key."},
	{"kafka-topic-rights", "The user lacks rights to the pipeline's topics.", keptInPostgres, "Run the printed `kafka-acls.sh` as an administrator."},
	{"kafka-transaction-rights", "The user lacks rights to capture's transactional id.", keptInPostgres, "Run the printed `kafka-acls.sh` as an administrator."},
	{"kafka-group-rights", "The user lacks rights to the loaders' consumer group.", "Changes wait in Kafka.", "Run the printed `kafka-acls.sh` as an administrator."},
	{"registry-encryption", "The connection to a registry on another machine is not encrypted.", "Schemas hold names of tables and columns, no rows; a password can be read along.", "Use `https://` in `registry.url`."},
	{"registry-connect", "The registry did not answer, or refused the login.", keptInPostgres, addressOf},
	{"registry-mode", "The registry is read-only and takes no schema.", "Schemas that are there stay readable.", "Run the printed `curl`, or switch the registry back to READWRITE."},
	{"registry-schemas", "A table's schema does not fit the earlier versions of its subject, by the subject's compatibility level.", "At a first start nothing is begun; later only this table is quarantined.", "Run the printed `curl`; readers of the topic must then cope with both versions."},
	{"clickhouse-encryption", "The connection to a ClickHouse on another machine is not encrypted.", "Nothing is lost; rows and the password can be read along.", "Set `clickhouse.tls`, if the server has such a port."},
	{"clickhouse-connect", "ClickHouse did not answer, or refused user or password.", "Changes wait in Kafka.", addressOf},
	{"clickhouse-version", "ClickHouse is older than 26.5.", nothingStarted, "Upgrade the server."},
	{"clickhouse-clock", "ClickHouse's clock and this machine's are apart.", "Order and exactness do not depend on clocks.", "Let both follow a time server."},
	{"clickhouse-rights", "The user lacks a right on one of the two databases, or to a table engine.", "Changes wait in Kafka.", "Run the printed `GRANT` as a user who has these rights with grant option."},
	{"clickhouse-databases", "A database that dirtbike is to use is there, and its engine is not Atomic, so that views could not be replaced at once; or a pipeline with another `kafka.prefix` loads into it.", "dirtbike does not touch it.", "Set the printed `clickhouse.database`."},
	{"clickhouse-views", "Somebody else's table has the name of a view that dirtbike would make.", "A start would replace it: until then it is as it was.", "Run the printed `RENAME TABLE` (dirtbike's own user may, with the rights above), or set another `clickhouse.database`."},
	{"clickhouse-disk", "Less than a tenth of a disk of ClickHouse is free.", "Changes wait in Kafka for `kafka.replay_horizon`.", "Make room."},
	{"pipeline-state", "The stored state could not be read from Kafka.", "What is committed to Kafka is safe.", "Mend what is said of Kafka first."},
	{"pipeline-hash-key", "The topics were written with a hash key whose file is not here. Another key would change every hash.", "Capture refuses to start with another key.", "Copy the file from where capture runs, or from its backup."},
	{"pipeline-start", "A start would be refused, for the reason that the message gives: slot, state, source and config do not fit together.", "What is in Kafka is safe, and nothing moves until somebody chooses.", "Do what the message says; where changes are lost, `dirtbike resnapshot --all` copies anew."},
}
