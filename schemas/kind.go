package schemas

import (
	"fmt"

	"dirtbike/cdc"
)

// Kind is a class of Postgres types that travel alike. The type table (types.go) has one row per kind. A switch
// over Kind names all of them, except where it says why; tables over kinds are in pgtext (text.go) and in the draft of
// a config (guess.go).
type Kind uint8

// The kinds (rule 30).
const (
	KindInvalid     Kind = iota
	KindBool             // bool
	KindInt2             // smallint
	KindInt4             // integer
	KindInt8             // bigint
	KindFloat4           // real
	KindFloat8           // double precision
	KindNumeric          // numeric(p,s), p ≤ 76, 0 ≤ s ≤ p: exact decimal
	KindNumericText      // every other numeric: Postgres' text
	KindDate             // date
	KindTimestamp        // timestamp without time zone
	KindTimestampTZ      // timestamp with time zone
	KindUUID             // uuid
	KindBytea            // bytea
	KindText             // text, varchar, char(n), name, "char"
	KindJSON             // json: the text as stored
	KindJSONB            // jsonb: Postgres' text output
	KindEnum             // any enum: its label
	KindArray            // one-dimensional array of any kind above; see Type.Elem
	KindOther            // everything else: Postgres' text output
	KindYear             // not a Postgres type: what the policy `year` makes of a date
)

var kindNames = [...]string{
	KindInvalid: "invalid", KindBool: "bool", KindInt2: "int2", KindInt4: "int4", KindInt8: "int8", KindFloat4: "float4",
	KindFloat8: "float8", KindNumeric: "numeric", KindNumericText: "numeric-text", KindDate: "date",
	KindTimestamp: "timestamp", KindTimestampTZ: "timestamptz", KindUUID: "uuid", KindBytea: "bytea", KindText: "text",
	KindJSON: "json", KindJSONB: "jsonb", KindEnum: "enum", KindArray: "array", KindOther: "other", KindYear: "year",
}

// String gives the name that schema properties carry; it is a format.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind reads what String wrote.
func ParseKind(s string) (Kind, error) {
	for k, name := range kindNames {
		if name == s && Kind(k) != KindInvalid {
			return Kind(k), nil
		}
	}
	return KindInvalid, cdc.Failed("unknown kind %q, as a newer release may write it", s).Fix("upgrade this one")
}
