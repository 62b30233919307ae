package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// alerts are what people who run such pipelines want to be woken by, each as it can be asked of the metrics.
var alerts = map[string]string{
	"the slot was invalidated":             `dirtbike_slot_lost == 1`,
	"the slot is about to be":              `dirtbike_slot_safe_wal_bytes == 0`,
	"the slot is gone":                     `dirtbike_slot_exists == 0`,
	"a fifth of the limit is left":         `dirtbike_slot_left_wal_bytes / dirtbike_slot_limit_wal_bytes < 0.2`,
	"four hours are left":                  `dirtbike_slot_left_seconds < 4 * 3600`,
	"the log held back grows":              `deriv(dirtbike_slot_retained_wal_bytes[15m]) > 0 and dirtbike_slot_retained_wal_bytes > 1e9`,
	"nobody streams":                       `max_over_time(dirtbike_slot_active[5m]) == 0`,
	"changes are not seen in ClickHouse":   `dirtbike_lag_seconds > 60`,
	"commit to applied is beyond its aim":  `histogram_quantile(0.99, sum by (le) (rate(dirtbike_load_commit_to_applied_seconds_bucket[10m]))) > 0.5`,
	"confirming stands still":              `delta(dirtbike_slot_confirmed_lsn_bytes[5m]) == 0 and delta(dirtbike_source_lsn_bytes[5m]) > 1e8`,
	"decoding spills":                      `increase(dirtbike_slot_spilled_bytes_total[10m]) > 0`,
	"a transaction holds the slot":         `changes((dirtbike_source_lsn_bytes - dirtbike_slot_retained_wal_bytes)[30m:1m]) == 0 and delta(dirtbike_source_lsn_bytes[30m]) > 1e8`,
	"a first copy stands still":            `count(dirtbike_table_copying == 1) > 0 and sum(increase(dirtbike_capture_records_total[15m])) == 0`,
	"a table is quarantined":               `dirtbike_table_in_quarantine == 1`,
	"there are dead letters":               `dirtbike_table_dead_letters > 0`,
	"ClickHouse refuses":                   `increase(dirtbike_load_retries_total[10m]) > 10`,
	"ClickHouse has too many parts":        `dirtbike_table_parts > 100`,
	"columns that no rule names go out":    `dirtbike_privacy_open == 1`,
	"the metrics themselves are not there": `dirtbike_status_up == 0 or absent(dirtbike_status_up)`,
	"capture cannot keep a session":        `increase(dirtbike_capture_retries_total[10m]) > 3`,
	"somebody else took over":              `increase(dirtbike_kafka_fenced_total[10m]) > 0`,
}

// TestAlertsCanBeAsked: each names metrics that there are, and Prometheus' own tool can parse it.
func TestAlertsCanBeAsked(t *testing.T) {
	all, err := metrics()
	require.NoError(t, err)
	known := map[string]bool{}
	for _, m := range all {
		known[m.name] = true
		known[m.name+"_bucket"] = m.kind == "histogram"
	}
	rules := "groups:\n- name: tried\n  rules:\n"
	for what, expression := range alerts {
		for _, name := range regexp.MustCompile(`dirtbike_[a-z_]+`).FindAllString(expression, -1) {
			require.True(t, known[name], "%s: there is no metric %s", what, name)
		}
		rules += "  - {alert: " + strconv.Quote(what) + ", expr: " + strconv.Quote(expression) + "}\n"
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		const install = "promtool is missing. Try: apt-get install prometheus"
		if os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1" {
			t.Fatal(install)
		}
		t.Skip(install)
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(path, []byte(rules), 0o600))
	out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.True(t, strings.Contains(string(out), strconv.Itoa(len(alerts))+" rules found"), "%s", out)
}
