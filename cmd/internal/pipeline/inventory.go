package pipeline

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cmd/internal/inventory"
	"dirtbike/config"
)

// Inventory reads from Postgres' catalog which columns leave under the config. It makes no hash key.
func Inventory(ctx context.Context, c *config.Config) (inventory.Inventory, error) {
	listed, err := listTables(ctx, c)
	if err != nil {
		return inventory.Inventory{}, err
	}
	return inventory.Of(c, listed), nil
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

// announced are tables that the log speaks of: it says what leaves Postgres, at the first List and whenever that has
// changed.
type announced struct {
	*catalog.Tables
	config *config.Config
	log    *zap.Logger
	said   inventory.Inventory
}

// List implements cdc.Tables.
func (a *announced) List(ctx context.Context) ([]*cdc.Table, error) {
	listed, err := a.Tables.List(ctx)
	if err == nil {
		if now := inventory.Of(a.config, listed); !now.Same(a.said) {
			a.said = now
			a.say(now)
		}
	}
	return listed, err
}

// say has a line for each table, with names of columns only, and warns of columns that nobody named.
func (a *announced) say(i inventory.Inventory) {
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
