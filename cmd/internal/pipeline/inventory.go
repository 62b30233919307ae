package pipeline

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cmd/internal/inventory"
	"dirtbike/config"
)

// Inventory reads from Postgres' catalog which columns leave under the config. It makes no hash key. Tables that
// capture has left out, as after a rename, are known from the stored state: where Kafka does not answer they are listed
// as if they left.
func Inventory(ctx context.Context, c *config.Config) (inventory.Inventory, error) {
	listed, err := listTables(ctx, c)
	if err != nil {
		return inventory.Inventory{}, err
	}
	state, err := quietState(c)(ctx)
	if err != nil || state == nil {
		state = &cdc.State{} // what is known is said
	}
	return inventory.Of(c, listed, leftOut(state)), nil
}

// leftOut says of which tables nothing leaves.
func leftOut(state *cdc.State) func(*cdc.Table) error {
	return func(t *cdc.Table) error { return capture.LeftOut(t, state) }
}

// listTables reads the catalog as a start would. It makes no hash key.
func listTables(ctx context.Context, c *config.Config) ([]*cdc.Table, error) {
	policies, _, err := trialPolicies(c)
	if err != nil {
		return nil, err
	}
	tables := catalog.New(tableOptions(c, MonitorLogin(c), policies, nil))
	defer tables.Close(ctx)
	return tables.List(ctx)
}

// announcer says in the log what leaves Postgres, at the first start and whenever that has changed.
type announcer struct {
	config *config.Config
	log    *zap.Logger
	said   inventory.Inventory
}

// listed is capture.Options.Listed.
func (a *announcer) listed(tables []*cdc.Table, state *cdc.State) {
	if now := inventory.Of(a.config, tables, leftOut(state)); !now.Same(a.said) {
		a.said = now
		a.say(now)
	}
}

// say has a line for each table, with names of columns only, and warns of columns that nobody named.
func (a *announcer) say(i inventory.Inventory) {
	a.log.Info(i.Summary(), zap.String("config", i.Config), zap.String("mode", i.Mode))
	for _, t := range i.Tables {
		fields := []zap.Field{zap.String("table", t.Table), zap.Int("line", t.Line)}
		by := t.ByPolicy()
		for _, policy := range append(config.Keep.Values(), inventory.Withheld, inventory.Kept) {
			if names := by[policy]; len(names) > 0 {
				fields = append(fields, zap.Strings(policy, slices.Clone(names)))
			}
		}
		a.log.Info("what leaves of the table", fields...)
	}
	if p := i.Warning(); p != nil {
		a.log.Warn(p.Error())
	}
}
