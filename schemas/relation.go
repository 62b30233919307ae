package schemas

import (
	"regexp"
	"strings"

	"dirtbike/cdc"
)

// Relation is a source table as Postgres' catalog and pgoutput's Relation message describe it, before any policy.
type Relation struct {
	OID      uint32
	Schema   string
	Name     string
	Database string
	Identity cdc.ReplicaIdentity
	// Columns are those that pgoutput sends, in its order (attnum order; no dropped and no stored generated columns).
	Columns []Column
	Key     []int // the indices into Columns of the table key (rule 9), in key order
	// Comment is COMMENT ON TABLE, or its first CommentLength characters; "" if there is none.
	Comment string
}

// CommentLength is how many characters of a comment are carried; commentsBytes bounds all of a table, since a registry
// takes schemas of a megabyte at most.
const (
	CommentLength = 1000
	commentsBytes = 64 << 10
)

// FullName is "schema.table".
func (r *Relation) FullName() string { return r.Schema + "." + r.Name }

// Column is one column of a Relation.
type Column struct {
	Name    string
	Attnum  int16
	Type    Type
	NotNull bool
	// Toastable says that Postgres may store the value out of line, so that an update may leave it out ("unchanged").
	// It is so when pg_attribute.attstorage is not 'p'.
	Toastable bool
	// Comment is COMMENT ON COLUMN, or its first CommentLength characters; "" if there is none.
	Comment string
}

// Type is a Postgres type as this module carries it.
type Type struct {
	Kind Kind
	// Name is Postgres' own format_type(), e.g. "numeric(12,2)", "zip5" for a domain, "claim_status" for an enum.
	Name string
	// OID is the declared type's (a domain's own), Base that of the type beneath a domain (otherwise equal to OID).
	OID, Base uint32
	Mod       int32
	// Precision and Scale of KindNumeric.
	Precision, Scale int
	Elem             *Type // the element type of KindArray, else nil
}

// Toastable reports whether some column may come as "unchanged".
func (r *Relation) Toastable() bool {
	for i := range r.Columns {
		if r.Columns[i].Toastable {
			return true
		}
	}
	return false
}

// Compactable reports whether each record carries a whole row, so that the topic may be compacted (rule 17).
func (r *Relation) Compactable() bool { return r.Identity == cdc.IdentityFull || !r.Toastable() }

// plainName needs no quoting after a schema's name, or before a table's.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_$]*$`)

// SQLIdentifier is a name as SQL takes it: quoted where Postgres would otherwise read another one.
func SQLIdentifier(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// SQLName is the table as SQL takes it, "schema.table".
func (r *Relation) SQLName() string { return SQLIdentifier(r.Schema) + "." + SQLIdentifier(r.Name) }
