package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// named is what Postgres' catalog says of the tables that source.tables names.
type named struct {
	relations []*schemas.Relation
	// refused cannot be captured exactly, or not any more: why, by "schema.table".
	refused map[string]string
	// uncaptured came to be after capture started, in the order of their names.
	uncaptured []string
	// why says what keeps those out that something keeps out; nil if it is not known.
	why map[string]*cdc.Problem
}

// stateReader reads what capture has stored; nil where nobody knows.
type stateReader func(context.Context) (*cdc.State, error)

// quietState reads it for one who reads it again and has been warned.
func quietState(c *config.Config) stateReader {
	return func(ctx context.Context) (*cdc.State, error) { return storedState(ctx, c, zap.NewNop()) }
}

// readNamed reads the named tables from Postgres.
func readNamed(ctx context.Context, c *config.Config, stored stateReader) (named, error) {
	conn, err := MonitorLogin(c).Connect(ctx)
	if err != nil {
		return named{}, err
	}
	defer conn.Close(ctx) // nothing is open on it
	var n named
	n.relations, n.refused, err = catalog.ListCaptured(ctx, conn, selection{c}, c.Source.Keys)
	if err == nil {
		n.uncaptured, err = uncaptured(ctx, conn, c, stored)
	}
	if err == nil && len(n.uncaptured) > 0 {
		n.why, _ = obstacles(ctx, c) // without it less is said
	}
	if err != nil && conn.IsClosed() && !errors.Is(err, cdc.ErrRefused) {
		err = (&cdc.Problem{Kind: cdc.ErrUnreachable, Cause: err}).Fix("see that Postgres runs and source.url is right")
	}
	return n, err
}

// uncaptured lists the tables that no capture has taken on, while one streams: it puts them into the publication and
// the stored state before it streams, so that nothing is said of a capture that is starting. A publication of whole
// schemas has them without capture, so that the state is asked of those, after it was seen that one streams.
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
		if !t.Published || unknownTo(state, t.Table) {
			names = append(names, t.Table)
		}
	}
	return names, nil
}

// unknownTo says that a capture that streams has not begun the table.
func unknownTo(state *cdc.State, table string) bool {
	if state == nil || state.Source.Phase != cdc.PhaseStreaming {
		return false
	}
	t, known := state.Tables[table]
	return !known || t.Phase == cdc.TableExcluded
}

// uncapturedError names the tables for which waiting is in vain, one a line with its way out, and in one line those
// that only wait for a restart; nil if there are none.
func (n named) uncapturedError() error {
	var lines, rest []string
	for _, name := range n.uncaptured {
		if n.why[name] != nil { // a restart alone would not help
			lines = append(lines, fmt.Sprintf("new table %s is %s", name, n.notCaptured(name)))
		} else {
			rest = append(rest, name)
		}
	}
	if len(rest) == 1 {
		lines = append(lines, fmt.Sprintf("new table %s is %s", rest[0], n.notCaptured(rest[0])))
	} else if len(rest) > 1 {
		lines = append(lines, fmt.Sprintf("new tables %s are not captured. Try: restart capture to copy them", strings.Join(rest, ", ")))
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

func (n named) notCaptured(name string) string {
	obstacle := n.why[name]
	if refused := n.refused[name]; n.why == nil && refused != "" {
		obstacle = cdc.ParseProblem(refused)
	}
	return status.NotCaptured(obstacle, n.why != nil).Error()
}

// choose picks the tables of those names, without names all, and says why others cannot be compared.
func (n named) choose(names []string) (chosen []*schemas.Relation, refused map[string]string, err error) {
	refused = maps.Clone(n.refused)
	for _, name := range n.uncaptured {
		if refused[name] == "" {
			refused[name] = n.notCaptured(name)
		}
	}
	all := map[string]bool{}
	for _, rel := range n.relations {
		all[rel.FullName()] = true
		if refused[rel.FullName()] == "" && (len(names) == 0 || slices.Contains(names, rel.FullName())) {
			chosen = append(chosen, rel)
		}
	}
	for _, name := range names {
		if !all[name] && refused[name] == "" {
			return nil, nil, cdc.Refused("%s is not captured", name).Fix("the full name, schema.table, of a table that source.tables names")
		}
	}
	if len(names) > 0 {
		maps.DeleteFunc(refused, func(name, _ string) bool { return !slices.Contains(names, name) })
	}
	return chosen, refused, nil
}

// reasons lists refused tables in one line, with one way out.
func reasons(refused map[string]string) string {
	var out []error
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		out = append(out, cdc.ParseProblem(name+": "+refused[name]))
	}
	if len(out) == 0 {
		return ""
	}
	return cdc.Together(out...).Error()
}
