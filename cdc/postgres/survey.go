package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server holds facts about the server, the current role and a slot, in the order of serverSQL. Names are quoted as SQL
// needs them.
type Server struct {
	Version                     int // 180004
	Text, Encoding, WALLevel    string
	Recovering, WALPending      bool
	Role, Database, Publication string
	Super                       bool // the role is a superuser
	Replicates, CreatesInside   bool
	Slots, SlotsUsed            int
	Senders, Sending            int
	SlotThere, SlotActive       bool
	Clock                       time.Time
	KeepMB                      int64 // max_slot_wal_keep_size, -1 without a limit
	MaxWALMB, HeldMB            int64 // max_wal_size; the most that any slot holds back
	IdleSlotTimeout             string
	Failover                    bool
	StandbySlots, PhysicalSlot  string
	// RefusesKinds: the server knows KindsSetting, so that our queries read tables only.
	RefusesKinds bool
}

const serverSQL = `
SELECT pg_catalog.current_setting('server_version_num')::int, pg_catalog.current_setting('server_version'),
  pg_catalog.pg_encoding_to_char(d.encoding)::text, pg_catalog.current_setting('wal_level'),
  pg_catalog.pg_is_in_recovery(), (SELECT pending_restart FROM pg_settings WHERE name = 'wal_level'),
  pg_catalog.quote_ident(current_user), pg_catalog.quote_ident(pg_catalog.current_database()), pg_catalog.quote_ident($2),
  r.rolsuper, r.rolsuper OR r.rolreplication, pg_catalog.has_database_privilege(d.oid, 'CREATE'),
  pg_catalog.current_setting('max_replication_slots')::int, (SELECT pg_catalog.count(*) FROM pg_replication_slots)::int,
  pg_catalog.current_setting('max_wal_senders')::int, (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_get_wal_senders())::int,
  s.slot_name IS NOT NULL, coalesce(s.active, false), pg_catalog.clock_timestamp(),
  (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
  (SELECT setting::bigint FROM pg_settings WHERE name = 'max_wal_size'),
  (SELECT coalesce(pg_catalog.max(pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn)), 0)
    FROM pg_replication_slots)::bigint >> 20,
  coalesce((SELECT setting FROM pg_settings WHERE name = 'idle_replication_slot_timeout'), '0'),
  coalesce((pg_catalog.to_jsonb(s) ->> 'failover')::bool, false), coalesce(pg_catalog.current_setting('synchronized_standby_slots', true), ''),
  coalesce((SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' ORDER BY active DESC, slot_name LIMIT 1), 'SLOT_OF_THE_STANDBY'),
  pg_catalog.current_setting('` + KindsSetting + `', true) IS NOT NULL
FROM pg_database d CROSS JOIN pg_roles r LEFT JOIN pg_replication_slots s ON s.slot_name = $1
WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user`

// ReadServer asks Postgres for its settings.
func ReadServer(ctx context.Context, q Querier, slot, publication string) (Server, error) {
	rows, _ := q.Query(ctx, serverSQL, slot, publication) // the rows have its error
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Server])
}

// TableSurvey is what decides how a table could be captured, in the order of surveySQL. Names are quoted.
type TableSurvey struct {
	OID                         uint32
	Name                        string // schema.table
	Kind, Persistence, Identity string
	ToastPages                  int64
	// MutableKey: the primary key has a column that no sequence fills.
	MutableKey bool
	// Keyed: there is a primary key that is not deferrable; Indexed: an index is named as the identity, and there.
	Keyed, Indexed bool
	// Constraint is the primary key's, if it is deferrable (then no other table refers to it): its name and definition.
	Constraint, Definition string
	// Candidate is an index that REPLICA IDENTITY USING INDEX takes, other than the present key's; empty if there is
	// none.
	Candidate string
	// FullRefused: with REPLICA IDENTITY FULL Postgres (from 18 on) would refuse updates and deletes of the table once
	// it is published, since it has generated columns, which are not published.
	FullRefused bool
}

const surveySQL = `
SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind::text, c.relpersistence::text, c.relreplident::text,
  coalesce((SELECT t.relpages FROM pg_class t WHERE t.oid = c.reltoastrelid), 0)::bigint,
  EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) WHERE i.indrelid = c.oid AND i.indisprimary
    AND a.attidentity = '' AND NOT EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)),
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid),
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident),
  coalesce(k.name, ''), coalesce(k.definition, ''),
  coalesce((SELECT pg_catalog.quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate
    AND NOT CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY u(n, at) LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.n
      WHERE u.at <= i.indnkeyatts AND (a.attnotnull IS NOT TRUE OR a.attgenerated <> ''))
    AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indcollation::oid[]) o(coll) JOIN pg_collation l ON l.oid = o.coll WHERE NOT l.collisdeterministic)
    ORDER BY i.indisprimary DESC, i.indnkeyatts, x.relname LIMIT 1), ''),
  pg_catalog.current_setting('server_version_num')::int >= 180000
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT pg_catalog.quote_ident(o.conname) AS name, pg_catalog.pg_get_constraintdef(o.oid) AS definition FROM pg_constraint o
  WHERE o.conrelid = c.oid AND o.contype = 'p' AND o.condeferrable) k ON true
WHERE c.oid = ANY ($1)`

// SurveyTables reads what decides how tables could be captured, in no order; one that is gone is left out.
func SurveyTables(ctx context.Context, q Querier, oids []uint32) ([]TableSurvey, error) {
	rows, _ := q.Query(ctx, surveySQL, oids) // as in ReadServer
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TableSurvey])
}

// UniqueIndex is one of a table's, with the columns of its key, in the order of indexesSQL. Its own name is quoted.
type UniqueIndex struct {
	Table             uint32
	Name              string
	Primary, Identity bool
	Columns           []string
}

const indexesSQL = `
SELECT i.indrelid, pg_catalog.quote_ident(x.relname), i.indisprimary, i.indisreplident,
  ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY u(n, at) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.n
    WHERE u.at <= i.indnkeyatts ORDER BY u.at)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = ANY ($1) AND i.indisunique`

// UniqueIndexes reads those of tables.
func UniqueIndexes(ctx context.Context, q Querier, oids []uint32) ([]UniqueIndex, error) {
	rows, _ := q.Query(ctx, indexesSQL, oids) // as in ReadServer
	return pgx.CollectRows(rows, pgx.RowToStructByPos[UniqueIndex])
}
