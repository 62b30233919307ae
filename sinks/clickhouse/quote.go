package clickhouse

import "strings"

var (
	identifierEscapes = strings.NewReplacer("\\", "\\\\", "`", "\\`")
	literalEscapes    = strings.NewReplacer("\\", "\\\\", "'", "\\'")
)

// ident quotes an identifier.
func ident(name string) string { return "`" + identifierEscapes.Replace(name) + "`" }

// literal quotes a string.
func literal(s string) string { return "'" + literalEscapes.Replace(s) + "'" }
