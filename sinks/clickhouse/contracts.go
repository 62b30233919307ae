package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dirtbike/cdc"
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
	lookups  map[int]*lookup   // what the registry is being asked, by id
	running  context.Context   // of the loader; questions end with it
	written  time.Time         // when the record that is being taken was written; zero: nobody knows
}

// newContracts makes the contracts of a loader; nothing is asked yet.
func newContracts(registry schemas.Registry, once retry) *contracts {
	return &contracts{
		registry: registry, once: once, known: map[int]*contract{}, asked: map[int]time.Time{}, lookups: map[int]*lookup{}, running: context.Background(),
	}
}

// lookup is one question to the registry. text and err are there once done is closed.
type lookup struct {
	done chan struct{}
	text string
	err  error
}

// schemaWait is how long everybody waits for a schema that one table needs. A registry that hangs is asked on beside
// the loop, while that table waits.
const schemaWait = 500 * time.Millisecond

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

// read reads the schema of an id, and hardly waits. One that the registry does not have is asked for again, until a
// replica of it must know the id: then its records quarantine their table.
func (c *contracts) read(ctx context.Context, id int) (*contract, error) {
	if v := c.known[id]; v != nil {
		return v, v.missing
	}
	var text string
	err := c.once(ctx, readSchema, func(ctx context.Context) (err error) {
		text, err = c.lookUp(ctx, id)
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

// lookUp asks the registry, or takes the answer to what it was asked before. No answer within schemaWait is an error
// that may go away.
func (c *contracts) lookUp(ctx context.Context, id int) (string, error) {
	l := c.lookups[id]
	if l == nil {
		l = &lookup{done: make(chan struct{})}
		c.lookups[id] = l
		go func() {
			defer close(l.done)
			l.text, l.err = c.registry.Schema(c.running, id)
		}()
	}
	timer := time.NewTimer(schemaWait)
	defer timer.Stop()
	select {
	case <-l.done:
		delete(c.lookups, id)
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	case <-timer.C:
		return "", cdc.Failed("the registry has not answered yet").Fix("see that the registry runs and registry.url is right")
	}
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
