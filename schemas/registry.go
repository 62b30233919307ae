package schemas

import "context"

// Registry is a schema registry as both legs use it (schemas/registry implements it over the Confluent API). It is safe for
// concurrent use and caches both ways; a schema that was registered or read once needs no connection again.
type Registry interface {
	// Register stores the Avro schema under the subject, or finds it there, and gives its id.
	Register(ctx context.Context, subject, schema string) (id int, err error)
	// Schema gives the Avro schema of an id.
	Schema(ctx context.Context, id int) (string, error)
}
