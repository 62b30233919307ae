package preflight

import (
	"context"
	"fmt"
	"strings"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/errcode"
	"dirtbike/sinks/clickhouse/ledger"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/dustin/go-humanize"
)

// The oldest supported ClickHouse.
const (
	oldestClickHouseYear  = 26
	oldestClickHouseMonth = 5
)

// loaderRights are what the loader needs on each of its two databases, and engineRights what it needs where table
// engines are granted.
var (
	loaderRights = []string{"CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "DROP TABLE", "DROP VIEW", "ALTER TABLE", "INSERT", "SELECT"}
	engineRights = []string{"Atomic", "ReplacingMergeTree"}
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
	if err != nil {
		p.connectError(r.where(partClickHouse), clickHouseError(err))
		return
	}
	p.ok("clickhouse-connect", r.where(partClickHouse), "it answers, and user and password are right")
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

// untilItSpeaks asks again while no answer of ClickHouse's own comes, so that a refused login after a broken connection
// is known as one.
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

// clickHouseError makes one line of what ClickHouse, or the way to it, said.
func clickHouseError(err error) error {
	switch code := errcode.Of(err); {
	case errcode.RefusesLogin(err):
		return cdc.Refused("it refuses user or password").Fix("set user and password in clickhouse.url")
	case code != 0:
		return cdc.Refused("it answers with an error").Because(code).Fix("look at its log")
	}
	return cdc.Failed("it does not answer").Because(err).
		Fix("see that ClickHouse runs and clickhouse.url names its native port; one with TLS needs clickhouse.tls")
}

func judgeClickHouseVersion(p *part, version string) {
	var year, month int
	if _, err := fmt.Sscanf(version, "%d.%d", &year, &month); err != nil || year < oldestClickHouseYear || year == oldestClickHouseYear && month < oldestClickHouseMonth {
		p.fail("clickhouse-version", "version()", "", "ClickHouse %s is not supported: %d.%d or newer is. Upgrade the server", version, oldestClickHouseYear, oldestClickHouseMonth)
		return
	}
	p.ok("clickhouse-version", "version()", "ClickHouse %s", version)
}

// judgeGrants asks for each right by itself.
func (r *run) judgeGrants(ctx context.Context, p *part, conn driver.Conn, user string) {
	const slug = "clickhouse-rights"
	for _, database := range []string{r.config.ClickHouse.Database, schemas.StorageDatabase(r.config.ClickHouse.Database)} {
		lacks, err := missing(ctx, conn, loaderRights, func(right string) string { return right + " ON " + identifier(database) + ".*" })
		if err != nil {
			p.error(slug, database, err)
			return
		}
		if len(lacks) > 0 {
			p.failAs(granter, slug, database+".*", "GRANT "+strings.Join(lacks, ", ")+" ON "+identifier(database)+".* TO "+identifier(user)+";", "user %s lacks %s", user, strings.Join(lacks, ", "))
		} else {
			p.ok(slug, database+".*", "user %s has every right", user)
		}
	}
	lacks, err := missing(ctx, conn, engineRights, func(engine string) string { return "TABLE ENGINE ON " + engine })
	switch {
	case err != nil:
		p.error(slug, "table engines", err)
	case len(lacks) > 0:
		p.failAs(granter, slug, "table engines", "GRANT TABLE ENGINE ON "+strings.Join(lacks, ", TABLE ENGINE ON ")+" TO "+identifier(user)+";", "user %s may not use %s", user, strings.Join(lacks, ", "))
	default:
		p.ok(slug, "table engines", "user %s may use them", user)
	}
}

// missing gives the rights that are not granted.
func missing(ctx context.Context, conn driver.Conn, rights []string, grant func(right string) string) (lacks []string, err error) {
	for _, right := range rights {
		var granted uint8
		if err := conn.QueryRow(ctx, "CHECK GRANT "+grant(right)).Scan(&granted); err != nil {
			return nil, fmt.Errorf("ask for the right %s: %w", right, clickHouseError(err))
		}
		if granted == 0 {
			lacks = append(lacks, right)
		}
	}
	return lacks, nil
}

// judgeViews: CREATE OR REPLACE VIEW would take the place of somebody else's table.
func (r *run) judgeViews(ctx context.Context, p *part, conn driver.Conn) {
	database := r.config.ClickHouse.Database
	ours := map[string]string{"complete_up_to": ""}
	for _, t := range r.captured(ctx) {
		ours[schemas.ClickHouseView(t.Schema, t.Name)] = t.FullName()
	}
	views, err := ledger.New(conn, database).Views(ctx)
	if err != nil {
		p.error("clickhouse-views", database, fmt.Errorf("list the tables: %w", clickHouseError(err)))
		return
	}
	var foreign []string
	for _, v := range views {
		if table, wanted := ours[v.Name]; wanted && (!v.IsView || table != "" && v.Generation == 0) {
			foreign = append(foreign, v.Name)
		}
	}
	for _, name := range foreign {
		p.failAs("a user with SELECT and DROP TABLE on it, and CREATE TABLE and INSERT on "+identifier(database)+".*", "clickhouse-views", database+"."+name, "RENAME TABLE "+identifier(database)+"."+identifier(name)+" TO "+identifier(database)+"."+identifier(name+"_before_dirtbike")+";",
			"somebody else's table has the name of a view that dirtbike makes")
	}
	if len(foreign) == 0 {
		p.ok("clickhouse-views", database, "no name is taken by somebody else")
	}
}

// diskShare is the part of a disk that should be free.
const diskShare = 0.1

// judgeDisk checks the disks, if we may see them.
func judgeDisk(ctx context.Context, p *part, conn driver.Conn) {
	rows, err := conn.Query(ctx, "SELECT name, free_space, total_space FROM system.disks")
	if err != nil {
		return // it takes a right that nothing else needs
	}
	defer rows.Close() //nolint:errcheck // nothing depends on it
	for rows.Next() {
		var name string
		var free, total uint64
		if rows.Scan(&name, &free, &total) != nil {
			return
		}
		if total > 0 && float64(free) < diskShare*float64(total) {
			p.warn("clickhouse-disk", "disk "+name, "", "only %s of %s are free", humanize.IBytes(free), humanize.IBytes(total))
		} else {
			p.ok("clickhouse-disk", "disk "+name, "%s free", humanize.IBytes(free))
		}
	}
	_ = rows.Err() // as above
}

// identifier quotes a name for ClickHouse, if it needs it.
func identifier(name string) string {
	plain := name != "" && (name[0] < '0' || name[0] > '9')
	for _, c := range name {
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_')
	}
	if plain {
		return name
	}
	return "`" + console.Printable(strings.NewReplacer("\\", "\\\\", "`", "\\`", "\n", "\\n", "\r", "\\r", "\t", "\\t").Replace(name)) + "`" // ClickHouse knows \xNN
}
