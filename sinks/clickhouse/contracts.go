package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// contracts are the schemas that records name by their ids, read from the registry once. When they are more than a
// pipeline has, or larger, they are forgotten and read again.
type contracts struct {
	registry schemas.Registry
	once     retry
	known    map[int]*contract
	bytes    int               // of the texts of those that are known
	asked    map[int]time.Time // when the registry was first asked for an id that it does not know
	written  time.Time         // when the record that is being taken was written; zero: nobody knows
}

// contract is what the schema of an id says.
type contract struct {
	id      int
	missing error // the registry has no such schema
	table   *schemas.Table
	reader  *avro.Reader
	err     error // it cannot be used as that of values
}

var errSchema = errors.New("the registered schema cannot be used")

// value gives the value schema of an id.
func (c *contracts) value(ctx context.Context, id int) (*contract, error) {
	v, err := c.read(ctx, id)
	if err == nil {
		err = v.err
	}
	return v, err
}

// read reads the schema of an id, and never waits. One that the registry does not have is asked for again, until a
// replica of it must know the id: then its records quarantine their table.
func (c *contracts) read(ctx context.Context, id int) (*contract, error) {
	if v := c.known[id]; v != nil {
		return v, v.missing
	}
	var text string
	err := c.once(ctx, readSchema, func(ctx context.Context) (err error) {
		text, err = c.registry.Schema(ctx, id)
		if errors.Is(err, schemas.ErrNoSchema) && !c.settled(id, time.Now()) {
			return errors.New(err.Error()) // not final yet
		}
		return err
	})
	if err != nil && !errors.Is(err, schemas.ErrNoSchema) {
		return nil, err
	}
	c.makeRoom(len(text))
	delete(c.asked, id)
	v := &contract{id: id, missing: err}
	c.known[id] = v
	if err == nil {
		if v.table, v.err = avro.ParseTable(text); v.err == nil {
			v.reader, v.err = avro.NewReader(v.table)
		}
	}
	if v.err != nil {
		v.err = fmt.Errorf("%w: id %d: %w", errSchema, id, v.err)
	}
	return v, v.missing
}

// What is remembered of schemas, at most. The parsed form takes a few times the text.
const (
	mostSchemas     = 10_000
	mostSchemaBytes = 32 << 20
)

// makeRoom forgets all schemas where one more of that size would be too many.
func (c *contracts) makeRoom(size int) {
	if c.bytes += size; len(c.known) < mostSchemas && c.bytes <= mostSchemaBytes {
		return
	}
	clear(c.known)
	clear(c.asked)
	c.bytes = size
}

// settled reports whether every replica of the registry must know an id.
func (c *contracts) settled(id int, now time.Time) bool {
	if !c.written.IsZero() && now.Sub(c.written) > recordDelay {
		return true
	}
	if c.asked[id].IsZero() {
		c.asked[id] = now
	}
	return now.Sub(c.asked[id]) >= replicaDelay
}

const (
	// replicaDelay is how long a replica of the registry may not know a schema that was registered with another one.
	replicaDelay = 5 * time.Second
	// recordDelay is how old a record must be for its schema to be known everywhere, the clocks' difference included.
	recordDelay = time.Minute
)
