package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cmd/internal/pipeline"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The supported majors of Postgres.
const (
	oldestPostgres = 14
	newestPostgres = 18
)

// server is what Postgres says of itself and of us. Names are quoted as SQL needs them.
type server struct {
	version                             int // 180004
	text, encoding, walLevel            string
	recovering, walPending              bool
	role, database, publication         string
	super, replication, bypass, creates bool
	slots, slotsUsed, senders, sending  int
	slotThere, slotActive               bool
	clock                               time.Time
	keepMB                              int64 // max_slot_wal_keep_size, -1 without a limit
	maxWALMB, heldMB                    int64 // max_wal_size; what the slot that is furthest behind holds back
	diskMB                              int64 // source.wal_disk, 0 if it is not set
	idleSlotTimeout                     string
	failover                            bool
	standbySlots, physical              string
}

const serverSQL = `
SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_encoding_to_char(d.encoding)::text, current_setting('wal_level'),
  pg_is_in_recovery(), (SELECT pending_restart FROM pg_settings WHERE name = 'wal_level'),
  quote_ident(current_user), quote_ident(current_database()), quote_ident($2), r.rolsuper, r.rolreplication, r.rolbypassrls, has_database_privilege(d.oid, 'CREATE'),
  current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots)::int,
  current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_get_wal_senders())::int,
  EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1), EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active), clock_timestamp(),
  (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
  (SELECT setting::bigint FROM pg_settings WHERE name = 'max_wal_size'),
  (SELECT coalesce(max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)), 0) FROM pg_replication_slots)::bigint >> 20,
  coalesce((SELECT setting FROM pg_settings WHERE name = 'idle_replication_slot_timeout'), '0'),
  coalesce((SELECT (to_jsonb(s) ->> 'failover')::bool FROM pg_replication_slots s WHERE slot_name = $1), false),
  coalesce(current_setting('synchronized_standby_slots', true), ''),
  coalesce((SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' ORDER BY active DESC, slot_name LIMIT 1), 'SLOT_OF_THE_STANDBY')
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user`

// checkPostgres checks server, role, slot, publication and tables.
func (r *run) checkPostgres(ctx context.Context, p *part) {
	defer r.closeListed()
	conn, err := r.connectPostgres(ctx)
	if err != nil {
		p.connectError(r.where(partPostgres), err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p.ok("postgres-connect", r.where(partPostgres), "it answers, and user and password are right")
	s, err := readServer(ctx, conn, r.config.Source.Slot, r.config.Source.Publication)
	if err != nil {
		p.error("postgres-connect", r.where(partPostgres), err)
		return
	}
	s.diskMB = int64(r.config.Source.WALDisk) >> 20
	s.judge(p)
	if s.version/10000 < oldestPostgres {
		return // the questions below were never asked of such a server
	}
	if s.replication && !s.recovering && s.encoding != "SQL_ASCII" {
		r.checkIdentity(ctx, p)
	}
	r.checkTables(ctx, p, conn, &s)
	r.checkSlot(ctx, p, &s)
}

// connectPostgres opens a connection that cannot write.
func (r *run) connectPostgres(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return pipeline.MonitorLogin(r.config).ReadOnly().Connect(ctx)
}

// connectError says why the server does not answer, or refuses the login.
func (p *part) connectError(subject string, err error) {
	said := explain(err)
	p.problem(p.name+"-connect", subject, said.OrFix("see that it runs, and that the config names its address"), err)
}

func readServer(ctx context.Context, conn *pgx.Conn, slot, publication string) (s server, err error) {
	err = conn.QueryRow(ctx, serverSQL, slot, publication).Scan(&s.version, &s.text, &s.encoding, &s.walLevel, &s.recovering, &s.walPending,
		&s.role, &s.database, &s.publication, &s.super, &s.replication, &s.bypass, &s.creates,
		&s.slots, &s.slotsUsed, &s.senders, &s.sending, &s.slotThere, &s.slotActive, &s.clock, &s.keepMB, &s.maxWALMB, &s.heldMB, &s.idleSlotTimeout, &s.failover, &s.standbySlots, &s.physical)
	s.replication, s.bypass = s.replication || s.super, s.bypass || s.super
	if err != nil {
		err = fmt.Errorf("ask Postgres for its settings: %w", serverError(err))
	}
	return s, err
}

// serverError leaves out of a server's error what may quote a value; one that a server gave is an answer.
func serverError(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return fmt.Errorf("%w: %s", cdc.ErrRefused, postgres.ServerError(said.Code, said.Message))
	}
	return err
}

const restart = "; it takes a restart of Postgres"

// judge checks the settings.
func (s *server) judge(p *part) {
	s.judgeServer(p)
	if s.replication {
		p.ok("postgres-role", s.role, "the role may replicate")
	} else {
		p.fail("postgres-role", s.role, "ALTER ROLE "+s.role+" REPLICATION;", "the role has no right to replicate; a superuser gives it")
	}
	s.judgeRoom(p)
	s.judgeKeep(p)
	switch {
	case !s.slotThere:
	case !s.failover || s.standbySlots != "":
		p.ok("postgres-failover", "synchronized_standby_slots", "%s", map[bool]string{true: "set", false: "not needed: the slot is not kept over a failover"}[s.failover])
	default:
		p.warn("postgres-failover", "synchronized_standby_slots", "ALTER SYSTEM SET synchronized_standby_slots = '"+s.physical+"';\nSELECT pg_reload_conf();",
			"the slot survives a failover, but nothing keeps it behind the standby: a promoted one may lack changes that are in Kafka already, and capture would stop with the choice. Name the physical slot of the standby")
	}
	judgeClock(p, s.clock, "Postgres")
}

func (s *server) judgeServer(p *part) {
	switch major := s.version / 10000; {
	case major < oldestPostgres || major > newestPostgres:
		p.fail("postgres-version", "server_version", "", "Postgres %s is not supported: %d to %d are. Use a server of one of these", s.text, oldestPostgres, newestPostgres)
	default:
		p.ok("postgres-version", "server_version", "Postgres %s", s.text)
	}
	if s.recovering {
		p.fail("postgres-primary", "pg_is_in_recovery()", "", "this is a standby; dirtbike reads from the primary. Set source.url to the primary's address")
	} else {
		p.ok("postgres-primary", "pg_is_in_recovery()", "it is a primary")
	}
	switch {
	case s.walLevel == "logical":
		p.ok("postgres-wal-level", "wal_level", "logical")
	case s.walPending:
		p.fail("postgres-wal-level", "wal_level", "restart Postgres", "another value is set, but takes a restart of Postgres; it is still %s", s.walLevel)
	default:
		p.fail("postgres-wal-level", "wal_level", "ALTER SYSTEM SET wal_level = logical;", "it is %s and must be logical%s", s.walLevel, restart)
	}
	if s.encoding == "SQL_ASCII" {
		p.fail("postgres-encoding", s.database, "", "the database's encoding is SQL_ASCII: nobody knows what its texts mean. Use a database with ENCODING 'UTF8'")
	} else {
		p.ok("postgres-encoding", s.database, "%s", s.encoding)
	}
}

// judgeRoom asks for room for our slot, if it is not there, and for one more: that of a copy that starts again.
func (s *server) judgeRoom(p *part) {
	room := func(slug, name string, most, used, now int) {
		free, subject := most-used, fmt.Sprintf("%s = %d", name, most)
		command := fmt.Sprintf("ALTER SYSTEM SET %s = %d;", name, used+now+1)
		switch {
		case free < now:
			p.fail(slug, subject, command, "all are in use, and one is needed%s", restart)
		case free < now+1:
			p.warn(slug, subject, command, "%d free: enough to run, but a copy of a table that starts later needs one more%s", free, restart)
		default:
			p.ok(slug, subject, "%d free", free)
		}
	}
	slot, stream := 1, 1
	if s.slotThere {
		slot = 0
	}
	if s.slotActive {
		stream = 0
	}
	room("postgres-slots", "max_replication_slots", s.slots, s.slotsUsed, slot)
	room("postgres-walsenders", "max_wal_senders", s.senders, s.sending, stream)
}

func (s *server) judgeKeep(p *part) {
	s.judgeKeepSize(p)
	if timeout, err := strconv.Atoi(s.idleSlotTimeout); err == nil && timeout > 0 {
		p.warn("postgres-wal-keep", "idle_replication_slot_timeout", "ALTER SYSTEM SET idle_replication_slot_timeout = 0;\nSELECT pg_reload_conf();",
			"Postgres drops the changes for a slot that nobody reads for %d s", timeout)
	}
}

// skewed is how far a server's clock may be off before lags are wrong by more than people notice.
const skewed = 5 * time.Second

func judgeClock(p *part, clock time.Time, who string) {
	if skew := time.Since(clock).Abs(); skew > skewed {
		p.warn(p.name+"-clock", "clock", "", "%s' clock and this machine's are %s apart: lags and commit times are wrong by that. Let both follow a time server", who, skew.Round(time.Second))
	} else {
		p.ok(p.name+"-clock", "clock", "within %s of this machine's", skewed)
	}
}

// checkIdentity opens the kind of connection that the stream needs.
func (r *run) checkIdentity(ctx context.Context, p *part) {
	identity, err := r.trial.Source.Identify(ctx)
	if err != nil {
		p.error("postgres-replication", r.where(partPostgres), fmt.Errorf("open a replication connection: %w", err))
		return
	}
	p.ok("postgres-replication", r.where(partPostgres), "a replication connection opens: cluster %s, timeline %d", identity.System, identity.Timeline)
}

// where names a part in a report, without any user or password.
func (r *run) where(name string) string {
	c := r.config
	switch name {
	case partPostgres:
		if o, err := pgx.ParseConfig(c.Source.URL.Reveal()); err == nil {
			return net.JoinHostPort(o.Host, strconv.Itoa(int(o.Port))) + "/" + o.Database
		}
	case partKafka:
		return strings.Join(c.Kafka.Brokers, ", ")
	case partRegistry:
		return withoutUser(c.Registry.URL.Reveal())
	case partClickHouse:
		return withoutUser(c.ClickHouse.URL.Reveal())
	}
	return "slot " + c.Source.Slot + ", prefix " + c.Kafka.Prefix
}
