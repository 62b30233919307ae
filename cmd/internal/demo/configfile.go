package demo

import (
	"fmt"
	"os"
	"strings"

	"dirtbike/docker/embedded"
)

// database is the clinic's name, in Postgres and in ClickHouse.
const database = "clinic"

// writeConfig writes the config that the demo's legs run with; people may read it, and run other verbs with it.
func writeConfig(path string, stack *embedded.Stack, listen string) error {
	text := fmt.Sprintf(`# The demo's own pipeline. Try, while it runs: dirtbike status --config %[1]s
source:
  url: %[2]s
  tables: ["public.*"]
kafka: {brokers: ["%[3]s"], prefix: clinic}
registry: {url: "%[4]s"}
clickhouse: {url: "%[5]s", database: %[6]s, load: {flush_interval: 10ms}}
privacy:
  mode: allowlist
  columns:
    public.patients: {ssn: drop, name: mask, mrn: hash, zip: zip3, born: year, email: drop, phone: drop, address: drop, city: drop, "*": keep}
    public.providers: {name: mask, "*": keep}
    public.visits: {mrn: hash, "*": keep}
    public.clinics: {"*": keep}
    public.claims: {"*": keep}
    public.claim_lines: {"*": keep}
    public.payments: {"*": keep}
    public.heartbeats: {"*": keep}
verify: {rows_per_second: 0}
ops: {listen: "%[7]s"}
`, path, stack.Postgres.DatabaseURL(database), strings.Join(stack.Kafka.Brokers(), `", "`), stack.Registry.URL(), stack.ClickHouse.URL(), database, listen)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the demo's config: %w", err)
	}
	return nil
}
