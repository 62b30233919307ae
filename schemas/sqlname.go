package schemas

import (
	"regexp"
	"strings"
)

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
