package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSameAddress: what leads elsewhere is no other login, in every form that libpq takes an address.
func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		was, is string
		same    bool
	}{
		{"postgres:///clinic?host=/run/pg", "postgres:///other?host=/run/pg", false},
		{"postgres:///clinic?host=/run/pg", "postgres:///clinic?host=/run/other", false},
		{"postgres:///clinic?host=/run/pg", "postgres://u:p@/clinic?password=x&host=/run/pg&sslmode=disable", true},
		{"postgres://u:p@/clinic?host=db", "postgres://u:p@/other?host=db", false},
		{"postgres://u:p@h:1,h2:2/clinic", "postgres://v@h:1,h2:2/clinic", true},
		{"postgres://u@h:1,h2:2/clinic", "postgres://u@h:1,h3:2/clinic", false},
		{"postgres://u@h/clinic?service=a", "postgres://u@h/clinic?service=b", false},
		{"postgres://u@h/d?options=a;b", "postgres://u@h/d?options=a;c", false},
		{"POSTGRES://u@h/d", "postgres://v@h/d", true},
		{"http://h/d", "https://h/d", false},
		{"clickhouse://u:p@h:9000/x", "clickhouse://u:p@h:9000/y", false},
		{"host=a dbname=x", "dbname=x host=a hostaddr=1.2.3.4", false},
		{"host=a dbname=x password=p://x", "dbname=x host=a password=q://x", true},
		{"host=a dbname=x password=p://x", "dbname=y host=a password=p://x", false},
	} {
		require.Equal(t, c.same, sameAddress(c.was, c.is), "%s and %s", c.was, c.is)
	}
}
