package demo

import (
	"fmt"
	"os"
	"strings"

	"dirtbike/cdc"
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
    public.patients: {patient_id: keep, mrn: hash, ssn: drop, name: mask, born: year, sex: keep, email: drop, phone: drop, address: drop,
      city: drop, zip: zip3, plan: keep, coverage_start: keep, coverage_end: keep, portal_user: keep, updated_at: keep}
    public.providers: {provider_id: keep, clinic_id: keep, npi: keep, name: mask, specialty: keep, rating: keep, accepting: keep,
      hired_on: keep, left_on: keep}
    public.visits: {visit_id: keep, patient_id: keep, mrn: hash, provider_id: keep, clinic_id: keep, scheduled_for: keep, started_at: keep,
      ended_at: keep, diagnosis_codes: keep, temperature_c: keep, vitals: keep, notes: keep, follow_up: keep}
    public.clinics: {clinic_id: keep, code: keep, name: keep, city: keep, state: keep, zip: keep, beds: keep, teaching: keep, latitude: keep,
      longitude: keep, opened_on: keep, closed_on: keep}
    public.claims: {claim_id: keep, visit_id: keep, clinic_id: keep, patient_id: keep, plan: keep, service_date: keep, status: keep,
      billed: keep, paid: keep, denied: keep, submitted_at: keep, denied_at: keep}
    public.claim_lines: {claim_id: keep, line_no: keep, procedure_code: keep, modifier: keep, units: keep, charge: keep, allowed: keep,
      denied: keep}
    public.payments: {payment_id: keep, claim_id: keep, payer: keep, method: keep, amount: keep, received_on: keep, posted_at: keep,
      check_no: keep}
    public.heartbeats: {id: keep, beat: keep, at: keep}
verify: {rows_per_second: 0}
ops: {listen: "%[7]s"}
`, cdc.ShellWord(path), stack.Postgres.DatabaseURL(database), strings.Join(stack.Kafka.Brokers(), `", "`), stack.Registry.URL(), stack.ClickHouse.URL(), database, listen)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the demo's config: %w", err)
	}
	return nil
}
