package status

import (
	"cmp"
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
	// Travelling are withheld columns that Postgres sends to capture all the same.
	Travelling int `json:"withheld_in_capture"`
	// Warning names them and what decides so, in words; absent if there are none.
	Warning string `json:"warning,omitempty"`
	warning *cdc.Problem
}

const (
	// inventoryTime is for how long an inventory is used again: columns change rarely, and asking reads the whole
	// catalog.
	inventoryTime = time.Minute
	// inventoryRest is how long nothing is asked again after no answer; inventoryPatience is how long one may take.
	inventoryRest     = 10 * time.Second
	inventoryPatience = 2 * time.Second
)

// answer is one that is used again; the zero value was never asked for. After an error the one before stays.
type answer[T any] struct {
	sync.Mutex
	last  T
	known bool
	due   time.Time     // when it is asked for again
	keep  time.Duration // how long it is used again; 0 means inventoryTime
}

func (a *answer[T]) get(ctx context.Context, ask func(context.Context) (T, error)) (last T, known bool) {
	a.Lock()
	defer a.Unlock()
	if ask == nil || time.Now().Before(a.due) {
		return a.last, a.known
	}
	ctx, cancel := context.WithTimeout(ctx, inventoryPatience)
	defer cancel()
	a.due = time.Now().Add(inventoryRest)
	if now, err := ask(ctx); err == nil {
		a.last, a.known, a.due = now, true, time.Now().Add(cmp.Or(a.keep, inventoryTime))
	}
	return a.last, a.known
}

// leaving gives what leaves Postgres; known is false as long as the catalog could not be read.
func (c *Collector) leaving(ctx context.Context) (i inventory.Inventory, known bool) {
	return c.inventory.get(ctx, c.Inventory)
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
	if s.kafka == nil { // else it would be waited for
		former, _ := c.former.get(ctx, c.Formers)
		for i := range s.Tables {
			s.Tables[i].FormerRecords = former[s.Tables[i].Table]
		}
	}
	i, known := c.leaving(ctx)
	if !known {
		return s
	}
	s.Privacy = &PrivacyStatus{Summary: i.Summary(), OpenColumns: i.OpenColumns(), Travelling: i.Travelling(), warning: i.Warning()}
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
