package schemas

import (
	"context"
	"errors"
)

// ErrNoSchema says that the registry answers, but has no Avro schema of an id.
var ErrNoSchema = errors.New("the registry has no Avro schema of this id")

// Registry is a schema registry as both legs use it (schemas/registry implements it over the Confluent API). It is safe
// for concurrent use and caches both ways; a schema that was registered or read once needs no connection again.
type Registry interface {
	// Register stores the Avro schema under the subject, or finds it there, and gives its id. An error wraps
	// cdc.ErrSchema if the registry refuses this one schema.
	Register(ctx context.Context, subject, schema string) (id int, err error)
	// Schema gives the Avro schema of an id. An error wraps ErrNoSchema if the registry has none; that is not
	// remembered: a replica of a registry may learn of an id a little later than the others.
	Schema(ctx context.Context, id int) (string, error)
}
