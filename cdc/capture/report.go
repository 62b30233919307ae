package capture

import (
	"go.uber.org/zap"

	"dirtbike/cdc"
)

// reporter is where a capture says what it does: log, metrics and status. It lives as long as the capture.
type reporter struct {
	log     *zap.Logger
	metrics *Metrics
	status  *status
	warned  map[string]bool // findings that are repeated in every session and logged once
}

func newReporter(o *Options) *reporter {
	return &reporter{log: o.Log, metrics: o.Metrics, status: &status{tables: map[string]TableStatus{}}, warned: map[string]bool{}}
}

// warnOnce logs once in a process. It is called by sessions, one after the other.
func (r *reporter) warnOnce(message string, why error, fields ...zap.Field) {
	if key := message + why.Error(); !r.warned[key] {
		r.warned[key] = true
		r.log.Warn(message, append(fields, zap.Error(why))...)
	}
}

// begin forgets what the session before has shown of tables.
func (r *reporter) begin() {
	r.status.begin()
	r.metrics.quarantined.Reset()
}

// skipped says that a new table is not captured.
func (r *reporter) skipped(t *cdc.Table, why error) {
	r.warnOnce("a new table is not captured, the others go on", why, zap.String("table", t.FullName()))
	r.status.skipped(t, why)
}

// quarantined says why a table was quarantined.
func (r *reporter) quarantined(t *table) {
	r.status.table(t, t.state.Rows)
	r.metrics.quarantined.WithLabelValues(t.name()).Set(1)
	message := "table quarantined: its changes are no longer written, the other tables go on"
	if t.state.Waits {
		message = "table waits: its changes are not written, it is tried again and then copied; the other tables go on"
	}
	r.log.Error(message, zap.String("table", t.name()), zap.String("error", t.state.Reason))
}
