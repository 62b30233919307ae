package preflight

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/dustin/go-humanize"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/status"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/clickhouse/session"
)

// The oldest supported ClickHouse.
const (
	oldestClickHouseYear  = 26
	oldestClickHouseMonth = 5
)

// granter may run GRANT.
const granter = "a user who has these rights WITH GRANT OPTION"

// checkClickHouse checks server, rights, databases and views.
func (r *run) checkClickHouse(ctx context.Context, p *part) {
	conn, err := pipeline.ClickHouse(r.config)
	if err != nil {
		p.fail("clickhouse-connect", "clickhouse.url", "", "%v", err)
		return
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	var version, user string
	var clock time.Time
	connecting, cancel := context.WithTimeout(ctx, connectTime)
	err = untilItSpeaks(connecting, func(ctx context.Context) error {
		return conn.QueryRow(ctx, "SELECT version(), currentUser(), now64(6, 'UTC')").Scan(&version, &user, &clock)
	})
	cancel()
	if session.Refused(err) {
		r.judgeProfile(ctx, p)
		return
	}
	if err != nil {
		p.connectError(r.where(partClickHouse), clickHouseError(err))
		return
	}
	p.ok("clickhouse-connect", r.where(partClickHouse), "it answers, and user and password are right")
	r.judgeWriting(ctx, p, conn, user)
	judgeClickHouseVersion(p, version)
	judgeClock(p, clock, "ClickHouse")
	r.judgeGrants(ctx, p, conn, user)
	r.judgeDatabases(ctx, p, conn)
	r.judgeViews(ctx, p, conn)
	judgeDisk(ctx, p, conn)
}

const (
	// attempts is how often ClickHouse is asked at first: one that restarts may refuse the login only when it is back.
	attempts = 4
	// attemptPause is how long each attempt waits for the next.
	attemptPause = 500 * time.Millisecond
)

// untilItSpeaks asks again until ClickHouse itself answers: a refused login may follow a broken connection.
func untilItSpeaks(ctx context.Context, ask func(context.Context) error) (err error) {
	for n := 1; ; n++ {
		err = ask(ctx)
		if err == nil || errcode.Of(err) != 0 || n == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(attemptPause):
		}
	}
}

// clickHouseError makes one line of an error of ClickHouse or of the connection to it.
func clickHouseError(err error) error {
	login, code := status.ClickHouseLogin(err), errcode.Of(err)
	switch {
	case login != nil:
		return login
	case code != 0:
		return cdc.Refused("it answers with an error").Because(code).Fix("look at its log")
	}
	return cdc.Failed("it does not answer").Because(err).
		Fix("see that ClickHouse runs and clickhouse.url names its native port; one with TLS needs clickhouse.tls")
}

const settingsSlug = "clickhouse-settings"

// judgeProfile names what keeps the sessions from being as they must be: a profile's constraints.
func (r *run) judgeProfile(ctx context.Context, p *part) {
	o, err := pipeline.ClickHouseOptions(r.config)
	var names []string
	if err == nil {
		names, err = session.Forbidden(ctx, o)
	}
	if err != nil {
		p.error(settingsSlug, "clickhouse.url", clickHouseError(err))
		return
	}
	if len(names) == 0 {
		p.fail(settingsSlug, "clickhouse.url", "", "the address has a setting that ClickHouse does not know, or does not let be set. Take it out of the address")
		return
	}
	p.fail(settingsSlug, "user "+o.Auth.Username, "", "its settings profile forbids what dirtbike sets for its own sessions: %s. Take CONST, READONLY, MIN and MAX of them off, "+
		"or give dirtbike a profile of its own", strings.Join(names, ", "))
}

// judgeWriting: two settings are a profile's alone, and some of a profile count in the views that others read.
func (r *run) judgeWriting(ctx context.Context, p *part, conn driver.Conn, user string) {
	var readonly, ddl uint64
	if err := conn.QueryRow(ctx, "SELECT toUInt64(getSetting('readonly')), toUInt64(getSetting('allow_ddl'))").Scan(&readonly, &ddl); err != nil {
		p.error(settingsSlug, "user "+user, clickHouseError(err))
		return
	}
	q := question{slug: settingsSlug, subject: "user " + user, good: "every setting that dirtbike needs may be set",
		bad: when(readonly != 0 || ddl == 0, "its settings profile has readonly = %d and allow_ddl = %d. Give it a profile with 0 and 1", readonly, ddl)}
	o, err := pipeline.ClickHouseOptions(r.config)
	if err == nil {
		err = session.CheckProfile(ctx, o)
	}
	switch {
	case q.bad != "":
	case errors.Is(err, cdc.ErrRefused):
		said := explain(err)
		q.bad, q.about = said.What+". "+firstWay(said), err
	case err != nil:
		p.error(settingsSlug, q.subject, clickHouseError(err))
		return
	}
	p.judge(q)
}

func judgeClickHouseVersion(p *part, version string) {
	var year, month int
	_, err := fmt.Sscanf(version, "%d.%d", &year, &month)
	p.judge(question{slug: "clickhouse-version", subject: "version()", good: "ClickHouse " + version,
		bad: when(err != nil || year < oldestClickHouseYear || year == oldestClickHouseYear && month < oldestClickHouseMonth,
			"ClickHouse %s is not supported: %d.%d or newer is. Upgrade the server", version, oldestClickHouseYear, oldestClickHouseMonth)})
}

// judgeGrants asks for each right that the loader needs, those to table engines where they are granted.
func (r *run) judgeGrants(ctx context.Context, p *part, conn driver.Conn, user string) {
	rights := []string{"CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "DROP TABLE", "DROP VIEW", "ALTER TABLE", "INSERT", "SELECT"}
	engines := []string{"TABLE ENGINE ON Atomic", "TABLE ENGINE ON ReplacingMergeTree"}
	database := r.config.ClickHouse.Database
	for _, of := range []struct {
		subject, on string
		rights      []string
		level       Level
	}{
		{database + ".*", " ON " + identifier(database) + ".*", rights, LevelError},
		{schemas.StorageDatabase(database) + ".*", " ON " + identifier(schemas.StorageDatabase(database)) + ".*", rights, LevelError},
		{"table engines", "", engines, LevelError},
		{"system.mutations", " ON system.mutations", []string{"SELECT"}, LevelWarning}, // without it load does not see what was done to storage
	} {
		lacks, err := missing(ctx, conn, of.rights, of.on)
		if err != nil {
			p.error("clickhouse-rights", of.subject, err)
			return
		}
		list := strings.Join(lacks, ", ")
		p.judge(question{slug: "clickhouse-rights", subject: of.subject, good: "user " + user + " has every right", bad: when(len(lacks) > 0, "user %s lacks %s", user, list),
			level: of.level, by: granter, command: "GRANT " + list + of.on + " TO " + identifier(user) + ";"})
	}
}

// missing gives the rights that are not granted.
func missing(ctx context.Context, conn driver.Conn, rights []string, on string) (lacks []string, err error) {
	for _, right := range rights {
		var granted uint8
		if err := conn.QueryRow(ctx, "CHECK GRANT "+right+on).Scan(&granted); err != nil {
			return nil, fmt.Errorf("ask for the right %s: %w", right, clickHouseError(err))
		}
		if granted == 0 {
			lacks = append(lacks, right)
		}
	}
	return lacks, nil
}

const databasesSlug = "clickhouse-databases"

// judgeDatabases: only Atomic databases replace views at once, and two pipelines must not share one.
func (r *run) judgeDatabases(ctx context.Context, p *part, conn driver.Conn) {
	name := r.config.ClickHouse.Database
	var names, engines []string
	if err := conn.QueryRow(ctx, "SELECT groupArray(name), groupArray(engine) FROM system.databases").Scan(&names, &engines); err != nil {
		p.error(databasesSlug, name, fmt.Errorf("look up database %s: %w", name, clickHouseError(err)))
		return
	}
	for _, database := range []string{name, schemas.StorageDatabase(name)} {
		switch at := slices.Index(names, database); {
		case at < 0:
			p.ok(databasesSlug, database, "it is not there; dirtbike makes it")
		case engines[at] != "Atomic":
			p.fail(databasesSlug, database, setting("clickhouse", "database", free(names, name+"_dirtbike")),
				"its engine is %s, and must be Atomic: use a database that dirtbike makes itself", engines[at])
		default:
			p.ok(databasesSlug, database, "Atomic")
		}
	}
	// The loader's own question: another pipeline may load into it.
	switch err := ledger.New(conn, name).CheckOwner(ctx, r.config.Kafka.Prefix); {
	case err == nil:
		p.ok(databasesSlug, name, "no other pipeline loads into it")
	case errors.Is(err, cdc.ErrRefused):
		p.fail(databasesSlug, name, setting("clickhouse", "database", free(names, name+"_2")), "%s", cdc.Explain(err).What)
	case errcode.Of(err) == proto.ErrAccessDenied: // the rights have a check of their own
	case errcode.Of(err) != 0: // it answered, but with another error
		p.error(databasesSlug, name, fmt.Errorf("%w: %w", cdc.ErrRefused, err))
	default:
		p.error(databasesSlug, name, err)
	}
}

// free is the first of name, name_2, name_2_2, … that no database has, nor its storage database.
func free(names []string, name string) string {
	for slices.Contains(names, name) || slices.Contains(names, schemas.StorageDatabase(name)) {
		name += "_2"
	}
	return name
}

// judgeViews: CREATE OR REPLACE VIEW would replace a table that is not dirtbike's.
func (r *run) judgeViews(ctx context.Context, p *part, conn driver.Conn) {
	const slug = "clickhouse-views"
	database := r.config.ClickHouse.Database
	ours := map[string]string{"complete_up_to": ""}
	for _, t := range r.captured(ctx) {
		ours[schemas.ClickHouseView(t.Schema, t.Name)] = t.FullName()
	}
	views, err := ledger.New(conn, database).Views(ctx)
	if err != nil {
		p.error(slug, database, fmt.Errorf("list the tables: %w", clickHouseError(err)))
		return
	}
	free := true
	for _, v := range views {
		if _, wanted := ours[v.Name]; !wanted || v.Ours {
			continue
		}
		free = false
		within := identifier(database) + "."
		p.judge(question{slug: slug, subject: database + "." + v.Name, bad: "a table that is not dirtbike's has the name of a view that dirtbike makes",
			by:      "a user with SELECT and DROP TABLE on it, and CREATE TABLE and INSERT on " + within + "*",
			command: "RENAME TABLE " + within + identifier(v.Name) + " TO " + within + identifier(v.Name+"_former") + ";"})
	}
	if free {
		p.ok(slug, database, "no name is taken by a table that is not dirtbike's")
	}
}

// diskShare is the part of a disk that should be free.
const diskShare = 0.1

// judgeDisk checks the disks, if we may see them: it takes a right that nothing else needs.
func judgeDisk(ctx context.Context, p *part, conn driver.Conn) {
	var disks []struct {
		Name  string `ch:"name"`
		Free  uint64 `ch:"free_space"`
		Total uint64 `ch:"total_space"`
	}
	if conn.Select(ctx, &disks, "SELECT name, free_space, total_space FROM system.disks") != nil {
		return
	}
	for _, d := range disks {
		free := humanize.IBytes(d.Free)
		p.judge(question{slug: "clickhouse-disk", subject: "disk " + d.Name, level: LevelWarning, good: free + " free",
			bad: when(d.Total > 0 && float64(d.Free) < diskShare*float64(d.Total), "only %s of %s are free", free, humanize.IBytes(d.Total))})
	}
}

var plainIdentifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// identifier quotes a name for ClickHouse, if it needs it; ClickHouse knows \xNN.
func identifier(name string) string {
	if plainIdentifier.MatchString(name) {
		return name
	}
	return "`" + console.Printable(strings.NewReplacer("\\", "\\\\", "`", "\\`", "\n", "\\n", "\r", "\\r", "\t", "\\t").Replace(name)) + "`"
}
