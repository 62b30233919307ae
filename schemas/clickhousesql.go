package schemas

import "strings"

var (
	clickHouseIdentEscapes   = strings.NewReplacer("\\", "\\\\", "`", "\\`")
	clickHouseLiteralEscapes = strings.NewReplacer("\\", "\\\\", "'", "\\'")
)

// ClickHouseIdent quotes a name for ClickHouse's SQL.
func ClickHouseIdent(name string) string { return "`" + clickHouseIdentEscapes.Replace(name) + "`" }

// ClickHouseLiteral quotes a string for ClickHouse's SQL.
func ClickHouseLiteral(s string) string { return "'" + clickHouseLiteralEscapes.Replace(s) + "'" }

// ClickHouseLiterals quotes strings as a list, for IN.
func ClickHouseLiterals(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = ClickHouseLiteral(s)
	}
	return strings.Join(quoted, ",")
}
