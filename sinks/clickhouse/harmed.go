package clickhouse

import (
	"context"
	"time"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/table"
)

// harmedEvery is how often a loader asks whether somebody has altered storage so that values are lost.
const harmedEvery = 5 * time.Second

// harmed is storage that somebody has altered so that it lacks values: nothing else would show it, since its columns
// are as they were.
type harmed struct {
	topic      *apply.Topic
	generation uint32
	reason     string
}

// harmed lists what somebody has altered, from time to time.
func (s *generations) harmed(ctx context.Context, topics map[string]*apply.Topic) (list []harmed, err error) {
	if time.Since(s.harmLooked) < s.harmEvery {
		return nil, nil
	}
	s.harmLooked = time.Now()
	commands := map[string][]string{}
	err = s.retry(ctx, "read what was done to storage", func(ctx context.Context) error {
		clear(commands)
		all, err := s.db.Ledger.Mutations(ctx)
		for _, m := range all {
			commands[m.Storage] = append(commands[m.Storage], m.Command)
		}
		return err
	})
	if err != nil || len(commands) == 0 {
		return nil, err
	}
	for _, t := range topics {
		for number, g := range t.Generations {
			done := commands[schemas.ClickHouseStorage(t.Schema, t.Rel, number)]
			if len(t.Parts) == 0 || len(done) == 0 || g.Dropped || number < t.Shown || s.quarantines.Skips(t.Table, number) {
				continue
			}
			if what := s.harm(ctx, t, g, done); what != "" {
				reason := cdc.Failed("its storage of generation %d was altered by hand, and has lost values: %s", number, what).Fix("%s", cdc.ResnapshotCommand(t.Table))
				list = append(list, harmed{t, number, reason.Error()})
			}
		}
	}
	return list, nil
}

// harm says what has lost values of one generation; "" for nothing, or if it cannot be known now.
func (s *generations) harm(ctx context.Context, t *apply.Topic, g *apply.Generation, commands []string) string {
	id, err := s.db.SchemaID(ctx, t.Schema, t.Rel, g.Number)
	if err != nil {
		return ""
	}
	c, err := s.contracts.value(ctx, id)
	if err != nil {
		return ""
	}
	what, away := table.Harm(c.table, commands)
	if what != "" || !away {
		return what
	}
	if _, err := s.db.Open(ctx, c.table, id, g.Number); err != nil {
		return "" // it waits for its name
	}
	return "another column has the name of one that was renamed"
}
