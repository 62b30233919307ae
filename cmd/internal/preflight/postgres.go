package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cmd/internal/pipeline"
)

// The supported majors of Postgres.
const (
	oldestPostgres = 14
	newestPostgres = 18
)

// server holds Postgres' settings, and source.wal_disk, 0 if it is not set.
type server struct {
	postgres.Server
	diskMB int64
}

// checkPostgres checks server, role, slot, publication and tables.
func (r *run) checkPostgres(ctx context.Context, p *part) {
	defer r.list(nil)
	conn, err := r.connectPostgres(ctx)
	if err != nil {
		p.connectError(r.where(partPostgres), err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p.ok("postgres-connect", r.where(partPostgres), "it answers, and user and password are right")
	facts, err := postgres.ReadServer(ctx, conn, r.config.Source.Slot, r.config.Source.Publication)
	if err != nil {
		p.error("postgres-connect", r.where(partPostgres), fmt.Errorf("ask Postgres for its settings: %w", serverError(err)))
		return
	}
	s := &server{facts, int64(r.config.Source.WALDisk) >> 20}
	s.judge(p)
	if s.Version/10000 < oldestPostgres {
		return // the questions below were never asked of such a server
	}
	if s.Replicates && !s.Recovering && s.Encoding != "SQL_ASCII" {
		r.checkIdentity(ctx, p)
	}
	r.checkTables(ctx, p, conn, s)
	r.checkSlot(ctx, p, s)
}

// connectPostgres opens a connection that cannot write.
func (r *run) connectPostgres(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return pipeline.MonitorLogin(r.config).ReadOnly().Connect(ctx)
}

// connectError says why Postgres does not answer, or refuses the login.
func (p *part) connectError(subject string, err error) {
	p.problem(p.name+"-connect", subject, explain(err).OrFix("see that it runs, and that the config names its address"), err)
}

// serverError leaves out of a server's error what may quote a value; one that a server gave is an answer.
func serverError(err error) error {
	if said := (*pgconn.PgError)(nil); errors.As(err, &said) {
		return fmt.Errorf("%w: %s", cdc.ErrRefused, postgres.ServerError(said.Code, said.Message))
	}
	return err
}

const restart = "; it takes a restart of Postgres"

// judge checks the settings.
func (s *server) judge(p *part) {
	s.judgeServer(p)
	p.judge(question{slug: "postgres-role", subject: s.Role, good: "the role may replicate", command: "ALTER ROLE " + s.Role + " REPLICATION;",
		bad: when(!s.Replicates, "the role has no right to replicate; a superuser gives it")})
	s.judgeRoom(p)
	s.judgeKeep(p)
	if s.SlotThere {
		p.judge(question{slug: "postgres-failover", subject: "synchronized_standby_slots", level: LevelWarning,
			good:    map[bool]string{true: "set", false: "not needed: the slot is not kept over a failover"}[s.Failover],
			command: "ALTER SYSTEM SET synchronized_standby_slots = '" + s.PhysicalSlot + "'" + reload,
			bad: when(s.Failover && s.StandbySlots == "", "the slot survives a failover, but nothing keeps it from being ahead of the standby: a promoted one may lack "+
				"changes that are in Kafka already, and capture would stop with the choice. Name the physical slot of the standby")})
	}
	judgeClock(p, s.Clock, "Postgres")
}

func (s *server) judgeServer(p *part) {
	major := s.Version / 10000
	wal := question{slug: "postgres-wal-level", subject: "wal_level", good: "logical", command: "ALTER SYSTEM SET wal_level = logical;",
		bad: when(s.WALLevel != "logical", "it is %s and must be logical%s", s.WALLevel, restart)}
	if wal.bad != "" && s.WALPending {
		wal.command, wal.bad = "restart Postgres", "another value is set, but takes a restart of Postgres; it is still "+s.WALLevel
	}
	version := question{slug: "postgres-version", subject: "server_version", good: "Postgres " + s.Text, bad: when(major < oldestPostgres || major > newestPostgres,
		"Postgres %s is not supported: %d to %d are. Use a server of one of these", s.Text, oldestPostgres, newestPostgres)}
	if version.bad == "" && !s.RefusesKinds {
		version.level, version.bad = LevelWarning, "Postgres "+s.Text+" cannot refuse views to a session: who owns a captured table can put a view in its place, "+
			"whose functions run with dirtbike's rights. Use 14.13, 15.8, 16.4 or newer"
	}
	p.judge(
		version,
		question{slug: "postgres-primary", subject: "pg_is_in_recovery()", good: "it is a primary",
			bad: when(s.Recovering, "this is a standby; dirtbike reads from the primary. Set source.url to the primary's address")},
		wal,
		question{slug: "postgres-encoding", subject: s.Database, good: s.Encoding, bad: when(s.Encoding == "SQL_ASCII",
			"the database's encoding is SQL_ASCII: the encoding of its texts is unknown. Use a database with ENCODING 'UTF8'")},
	)
}

// judgeRoom requires room for our slot, if it does not exist, and for the process that sends from it.
func (s *server) judgeRoom(p *part) {
	room := func(slug, name string, most, used int, there bool) {
		now := 1
		if there {
			now = 0
		}
		free := most - used
		p.judge(question{slug: slug, subject: fmt.Sprintf("%s = %d", name, most), good: fmt.Sprintf("%d free", free),
			command: fmt.Sprintf("ALTER SYSTEM SET %s = %d;", name, used+now),
			bad:     when(free < now, "all are in use, and one is needed%s", restart)})
	}
	room("postgres-slots", "max_replication_slots", s.Slots, s.SlotsUsed, s.SlotThere)
	room("postgres-walsenders", "max_wal_senders", s.Senders, s.Sending, s.SlotActive)
}

func (s *server) judgeKeep(p *part) {
	s.judgeKeepSize(p)
	if timeout, err := strconv.Atoi(s.IdleSlotTimeout); err == nil && timeout > 0 {
		p.warn("postgres-wal-keep", "idle_replication_slot_timeout", "ALTER SYSTEM SET idle_replication_slot_timeout = 0"+reload,
			"Postgres drops the changes for a slot that is not read for %d s", timeout)
	}
}

// skewed is how far a server's clock may be off before lags are wrong by more than people notice.
const skewed = 5 * time.Second

func judgeClock(p *part, clock time.Time, who string) {
	skew := time.Since(clock).Abs()
	p.judge(question{slug: p.name + "-clock", subject: "clock", level: LevelWarning, good: fmt.Sprintf("within %s of this machine's", skewed),
		bad: when(skew > skewed, "%s' clock and this machine's are %s apart: lags and commit times are wrong by that. Let both follow a time server",
			who, skew.Round(time.Second))})
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
		if o, err := (postgres.Login{URL: c.Source.URL.Reveal()}).Config(); err == nil {
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

// leastKeepMB is Postgres' default for max_wal_size: below it a single checkpoint may already cost the slot.
const leastKeepMB = 1024

// proposedMB is what is proposed for max_slot_wal_keep_size: a quarter of the log's disk, if the config says how large
// that is, else a few times what Postgres keeps anyway. It is never so low that the existing slot would be lost.
func (s *server) proposedMB() int64 {
	const share, times, beyond = 4, 4, 2
	size := times * s.MaxWALMB
	if s.diskMB > 0 {
		size = s.diskMB / share
	}
	return max(size, beyond*s.HeldMB, leastKeepMB)
}

// keepSQL sets max_slot_wal_keep_size.
func keepSQL(mb int64) string {
	size := fmt.Sprintf("%dMB", mb)
	if mb%1024 == 0 {
		size = fmt.Sprintf("%dGB", mb/1024)
	}
	return "ALTER SYSTEM SET max_slot_wal_keep_size = '" + size + "'" + reload
}

// reload is appended to statements that need no restart.
const reload = ";\nSELECT pg_reload_conf();"

// howMuch says where the proposed value comes from, and how to choose another.
func (s *server) howMuch() string {
	if s.diskMB > 0 {
		return "The printed value is a quarter of source.wal_disk, unless more is held back already"
	}
	return "Choose a size that holds the log of the longest time that dirtbike may be down, and is below the disk's free space. " +
		"Postgres does not report free space: set source.wal_disk to it. The printed value is no more than a few times max_wal_size, or what is held back already"
}

func (s *server) judgeKeepSize(p *part) {
	p.judge(question{
		slug: "postgres-wal-keep", subject: "max_slot_wal_keep_size", level: LevelWarning, command: keepSQL(s.proposedMB()), good: fmt.Sprintf("%d MB", s.KeepMB),
		bad: when(s.KeepMB < 0, "without a limit: while dirtbike is down, Postgres keeps its log until the disk is full. %s", s.howMuch()) +
			when(s.KeepMB >= 0 && s.KeepMB < leastKeepMB, "%d MB is next to nothing: Postgres gives the slot up soon after dirtbike stops or is late, "+
				"and everything has to be copied again. %s", s.KeepMB, s.howMuch()),
	})
}
