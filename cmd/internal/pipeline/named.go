package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"
	"dirtbike/schemas"
)

// named holds the tables that source.tables names, from Postgres' catalog.
type named struct {
	relations []*schemas.Relation
	// refused cannot be captured exactly, or not any more: why, by "schema.table".
	refused map[string]*cdc.Problem
	// uncaptured were created after capture started, in the order of their names.
	uncaptured []string
	// why says what keeps tables from being captured, by name; nil if it is not known.
	why map[string]*cdc.Problem
}

// stateReader reads what capture has stored; nil where it is not known.
type stateReader func(context.Context) (*cdc.State, error)

// quietState reads it without a warning, for repeated reads.
func quietState(c *config.Config) stateReader {
	return func(ctx context.Context) (*cdc.State, error) { return storedState(ctx, c, zap.NewNop()) }
}

// readNamed reads the named tables from Postgres.
func readNamed(ctx context.Context, c *config.Config, stored stateReader) (n named, err error) {
	conn, err := MonitorLogin(c).Connect(ctx)
	if err != nil {
		return n, err
	}
	defer conn.Close(ctx) // nothing is open on it
	n.relations, n.refused, err = catalog.ListCaptured(ctx, conn, selection{c}, c.Source.Keys)
	if err == nil {
		n.uncaptured, err = uncaptured(ctx, conn, c, stored)
	}
	if err == nil && len(n.uncaptured) > 0 {
		n.why, _ = obstacles(ctx, c, stored) // without it the message says less
	}
	if err != nil && conn.IsClosed() && !errors.Is(err, cdc.ErrRefused) {
		err = (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Fix(tryPostgres)
	}
	return n, err
}

// uncaptured lists the tables that no capture has taken on, while one streams: it puts them into the publication and
// the stored state before it streams, so that none is reported while a capture is starting. A publication of whole
// schemas has them without capture, so that the state is asked of those, after it was seen that one streams. One that
// is quarantined is not new, though another table may have its name now: it says itself what to do.
func uncaptured(ctx context.Context, conn *pgx.Conn, c *config.Config, stored stateReader) (names []string, err error) {
	slot, _, err := postgres.ReadSlot(ctx, conn, c.Source.Slot)
	if err != nil || !slot.Active {
		return nil, err
	}
	tables, err := status.ReadNamed(ctx, conn, c.Source.Publication, c.Source.Match)
	if err != nil {
		return nil, err
	}
	state, err := stored(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if state != nil && state.Tables[t.Table].Phase == cdc.TableQuarantined {
			continue
		}
		if !t.Published || status.Unseen(state, t.Table) {
			names = append(names, t.Table)
		}
	}
	return names, nil
}

// uncapturedError has one line for each table that a restart alone does not help, and one for the others; or nil.
func (n named) uncapturedError() error {
	var all []error
	var rest []string
	for _, name := range n.uncaptured {
		if n.why[name] != nil { // a restart alone would not help
			all = append(all, n.newTable(name))
		} else {
			rest = append(rest, name)
		}
	}
	switch len(rest) {
	case 0:
	case 1:
		all = append(all, n.newTable(rest[0]))
	default:
		all = append(all, cdc.Failed("new tables %s are not captured", strings.Join(rest, ", ")).Fix("restart capture to copy them"))
	}
	return errors.Join(all...)
}

func (n named) newTable(name string) *cdc.Problem {
	p := n.notCaptured(name)
	p.What = "new table " + name + " is " + p.What
	return p
}

func (n named) notCaptured(name string) *cdc.Problem {
	obstacle := n.why[name]
	if n.why == nil {
		obstacle = n.refused[name]
	}
	return status.NotCaptured(obstacle, n.why != nil)
}

// choose picks the tables of those names, without names all, and says why others cannot be compared.
func (n named) choose(names []string) (chosen []*schemas.Relation, refused map[string]*cdc.Problem, err error) {
	refused = maps.Clone(n.refused)
	for _, name := range n.uncaptured {
		if refused[name] == nil {
			refused[name] = cdc.Explain(n.notCaptured(name))
		}
	}
	all := map[string]bool{}
	for _, rel := range n.relations {
		all[rel.FullName()] = true
		if refused[rel.FullName()] == nil && (len(names) == 0 || slices.Contains(names, rel.FullName())) {
			chosen = append(chosen, rel)
		}
	}
	for _, name := range names {
		if !all[name] && refused[name] == nil {
			return nil, nil, cdc.Refused("%s is not captured", name).Fix("the full name, schema.table, of a table that source.tables names")
		}
	}
	if len(names) > 0 {
		maps.DeleteFunc(refused, func(name string, _ *cdc.Problem) bool { return !slices.Contains(names, name) })
	}
	return chosen, refused, nil
}

// together is why tables are refused, in one, with one way out.
func together(refused map[string]*cdc.Problem) *cdc.Problem {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		all = append(all, cdc.Failed("%s", name).Because(refused[name]))
	}
	return cdc.Together(all...)
}
