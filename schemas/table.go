package schemas

import "slices"

// Table is the contract between the two legs: a source table after its policies. The registered value schema holds all
// of it (rule: load needs no connection to Postgres); schemas/avro writes and reads it.
type Table struct {
	Topic string // the Kafka topic and the root of the Avro names
	// Database, Schema and Name are the source's real names.
	Database, Schema, Name string
	Columns                []TableColumn // in the source's order, without the withheld ones
	Key                    []int         // indices into Columns, in key order
	Compacted              bool          // the topic is compacted: no record is ever `unchanged`
	Comment                string        // what the source says of the table; "" is nothing, or too much (see NewTable)
}

// TableColumn is one carried column.
type TableColumn struct {
	Name, Field string // the real name, Field the Avro field's (rule 12: a reversible escape)
	Attnum      int16
	Type        Type   // the type after the policy
	Declared    string // the source's own type name before the policy
	// Policy is keep, mask, hash, zip3 or year.
	Policy    string
	NotNull   bool   // the source declares NOT NULL
	Key       bool   // the column belongs to the table key
	Toastable bool   // the source may leave the value out of an update
	Comment   string // what the source says of the column; "" is nothing, or too much (see NewTable)

	// Source is the index into the relation's columns, and Transform the compiled policy (nil for keep). They are set
	// on the capture's side only and not part of the contract.
	Source    int
	Transform Transform
}

// FullName is "schema.table".
func (t *Table) FullName() string { return t.Schema + "." + t.Name }

// Inexact reports whether the Avro type of the column may fail to hold a value of its Postgres type, so that the field
// is null and the exact text is in the envelope's `inexact` (rule 31). Such a field is a nullable union even in the
// key's columns.
func (c *TableColumn) Inexact() bool { return AvroInexact(c.Type) }

// NeedsInexact reports whether a column's type may need an exact text in addition to its value (rule 31).
func (t *Table) NeedsInexact() bool {
	return slices.ContainsFunc(t.Columns, func(c TableColumn) bool { return c.Inexact() })
}
