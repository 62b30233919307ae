package postgres

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// serverMajor gives the server's major version; 0 if it does not say.
func serverMajor(conn *pgx.Conn) int {
	version := conn.PgConn().ParameterStatus("server_version")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	n, _ := strconv.Atoi(version[:end]) // "" counts as 0, the oldest
	return n
}
