package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"dirtbike/cdc"
)

// Drift implements cdc.Tables.
func (t *Tables) Drift(ctx context.Context) (map[uint32]error, error) {
	conn, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	now, err := read(ctx, conn, "")
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	listed := t.known // List makes another map
	t.mu.Unlock()
	traces, err := readTraces(ctx, conn, slices.Collect(maps.Keys(listed)))
	if err != nil {
		return nil, err
	}
	byOID := map[uint32]*entry{}
	for _, e := range now {
		byOID[e.rel.OID] = e
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[uint32]error{}
	for oid, k := range listed {
		if why := t.drifted(k, byOID[oid], traces[oid]); why != nil {
			out[oid] = fmt.Errorf("%w. Try: "+cdc.CopyAgain, why)
		}
	}
	return out, nil
}

// drifted says how a table differs from what the encoder was compiled from, nil if it does not.
func (t *Tables) drifted(k *known, e *entry, now trace) error {
	switch {
	case e == nil:
		return errors.New("the table was dropped")
	case e.rel.FullName() != k.rel.FullName():
		return fmt.Errorf("the table was renamed to %s", e.rel.FullName())
	case !cdc.SameShape(k.cdc.Shape, shape(e)):
		return errors.New("the table's columns, or an enum's labels, have changed: rows may have changed without an event")
	case k.follow(now):
		return errors.New("the table was rewritten by an ALTER TABLE: its rows may have changed without an event")
	case e.rel.Identity != k.rel.Identity:
		return errors.New("the table's replica identity has changed")
	case len(t.options.Keys[k.rel.FullName()]) > 0:
		return nil // its key is the config's; a restart checks the index behind it
	case e.notKey != "":
		return errors.New("the table has lost its key: " + e.notKey)
	}
	if len(e.rel.Key) != len(k.rel.Key) {
		return errors.New("the table's key has changed")
	}
	for i := range e.rel.Key {
		if e.rel.Key[i] != k.rel.Key[i] {
			return errors.New("the table's key has changed")
		}
	}
	return nil
}
