package preflight

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/config"
)

// TestCheckSaysWhatLeaves: the check of privacy speaks of the effect, not of the mode, and names what it warns of;
// while the tables are not known it says what may leave.
func TestCheckSaysWhatLeaves(t *testing.T) {
	table := &cdc.Table{Schema: "public", Name: "patients"}
	for i, name := range []string{"id", "ssn", "later"} {
		table.Columns = append(table.Columns, cdc.Column{Number: int16(i + 1), Name: name, Type: "text"})
	}
	const list, draft = "dirtbike inventory", `dirtbike init --source "$SOURCE_URL" --out allowlist.yaml`
	for name, c := range map[string]struct {
		privacy string
		known   bool
		says    string
		command string // none if all is good
	}{
		"a wildcard that keeps":     {`privacy: {mode: allowlist, columns: {public.patients: {id: keep, ssn: drop, "*": keep}}}`, true, `public.patients (later; by "*" in line 5)`, list},
		"open":                      {`privacy: {mode: open, columns: {public.patients: {id: keep, ssn: drop}}}`, true, "public.patients (later; nobody: privacy.mode, line 5)", list},
		"no section":                {"", true, "public.patients (id, ssn, later; nobody: there is no privacy section)", draft},
		"allowlist":                 {"privacy: {columns: {public.patients: {id: keep, ssn: hash}}}", true, "2 of 3 columns leave Postgres", ""},
		"open, everything named":    {"privacy: {mode: open, columns: {public.patients: {id: keep, ssn: hash, later: drop}}}", true, "2 of 3 columns leave Postgres", ""},
		"unknown, a wildcard":       {`privacy: {columns: {public.patients: {"*": keep}}}`, false, "columns that nobody names leave as they are", list},
		"unknown, no section":       {"", false, "columns that nobody names leave as they are", draft},
		"unknown, everything named": {"privacy: {columns: {public.patients: {id: keep}}}", false, "only columns that it names leave Postgres", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse(filepath.Join(t.TempDir(), "dirtbike.yaml"), []byte(`source: {url: "postgres://u@127.0.0.1:1/d"}
kafka: {brokers: ["127.0.0.1:1"]}
registry: {url: "http://127.0.0.1:1"}
clickhouse: {url: "clickhouse://127.0.0.1:1"}
`+c.privacy))
			require.NoError(t, err)
			r := &run{config: cfg, parts: map[string]*part{partPostgres: {name: partPostgres}}}
			if c.known {
				r.tables = []*cdc.Table{table}
			}
			p := &part{name: partConfig}
			r.judgePrivacy(p)
			found := p.close()
			require.Len(t, found, 1)
			require.Contains(t, found[0].Message, c.says)
			require.Equal(t, c.command, found[0].Command)
			require.Equal(t, c.command == "", found[0].Level == LevelOK)
		})
	}
}
