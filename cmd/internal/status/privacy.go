package status

import (
	"context"
	"strings"
	"sync"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/inventory"
)

// PrivacyStatus is what a Status says about columns; `dirtbike inventory` has all of it.
type PrivacyStatus struct {
	// Summary counts what leaves Postgres by policy, in words.
	Summary string `json:"summary"`
	// OpenColumns leave as they are though nobody named them.
	OpenColumns int `json:"open_columns"`
	// Warning names them and what decides so, in words; absent if there are none.
	Warning string `json:"warning,omitempty"`
	warning *cdc.Problem
}

// inventoryTime is for how long an inventory is used again: columns change rarely, and asking reads the whole catalog.
const inventoryTime = time.Minute

// inventoryCache keeps the last inventory. After an error the one before stays, and is asked for again.
type inventoryCache struct {
	sync.Mutex
	last  inventory.Inventory
	known bool
	at    time.Time
	// of topics
	formers   map[string]int64
	formersAt time.Time
}

// former gives how many records each table's topic still has from before its present copy.
func (c *Collector) former(ctx context.Context) map[string]int64 {
	cache := &c.inventory
	if c.Formers == nil {
		return nil
	}
	cache.Lock()
	defer cache.Unlock()
	if cache.formersAt.IsZero() || time.Since(cache.formersAt) > inventoryTime {
		if now, err := c.Formers(ctx); err == nil { // else what was known stays
			cache.formers, cache.formersAt = now, time.Now()
		}
	}
	return cache.formers
}

// leaving gives what leaves Postgres; known is false as long as the catalog could not be read.
func (c *Collector) leaving(ctx context.Context) (i inventory.Inventory, known bool) {
	cache := &c.inventory
	if c.Inventory == nil {
		return i, false
	}
	cache.Lock()
	defer cache.Unlock()
	if !cache.known || time.Since(cache.at) > inventoryTime {
		if now, err := c.Inventory(ctx); err == nil {
			cache.last, cache.known, cache.at = now, true, time.Now()
		}
	}
	return cache.last, cache.known
}

// openColumns says whether, and if known how many, columns leave as they are though nobody named them.
func (c *Collector) openColumns(ctx context.Context) (open bool, n int, known bool) {
	i, known := c.leaving(ctx)
	if !known {
		return c.MayOpen, 0, false
	}
	n = i.OpenColumns()
	return n > 0, n, true
}

func (c *Collector) withPrivacy(ctx context.Context, s Status) Status {
	for _, p := range c.Exposed {
		s.Exposed = append(s.Exposed, p.Error())
	}
	former := c.former(ctx)
	for i := range s.Tables {
		s.Tables[i].FormerRecords = former[s.Tables[i].Table]
	}
	i, known := c.leaving(ctx)
	if !known {
		return s
	}
	s.Privacy = &PrivacyStatus{Summary: i.Summary(), OpenColumns: i.OpenColumns(), warning: i.Warning()}
	if p := s.Privacy.warning; p != nil {
		s.Privacy.Warning = p.Error()
	}
	return s
}

// encryptionCheck never fails, since a network may be trusted: it says what it trusts.
func (c *Collector) encryptionCheck() Check {
	return Check{Name: "encryption", Func: func(context.Context) error { return nil }, Note: func(context.Context) string {
		lines := make([]string, len(c.Exposed))
		for i, p := range c.Exposed {
			lines[i] = p.Error()
		}
		return strings.Join(lines, "; ")
	}}
}

// privacyCheck never fails, since an open mode is a choice: it says what it comes to.
func (c *Collector) privacyCheck() Check {
	return Check{Name: "privacy", Func: func(context.Context) error { return nil }, Note: func(ctx context.Context) string {
		i, known := c.leaving(ctx)
		switch p := i.Warning(); {
		case !known:
			return ""
		case p != nil:
			return p.Error()
		}
		return i.Summary()
	}}
}
