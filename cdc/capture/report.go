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

// skipped says that a new table is not captured.
func (r *reporter) skipped(t *cdc.Table, why error) {
	r.warnOnce("a new table is not captured, the others go on", why, zap.String("table", t.FullName()))
	r.status.skipped(t, why)
}

// quarantine stops capturing one table, and says why. The caller commits its state.
func (r *reporter) quarantine(t *table, reason error) error {
	if err := t.quarantine(reason); err != nil {
		return err
	}
	r.quarantined(t)
	return nil
}

// quarantined says why a table was quarantined.
func (r *reporter) quarantined(t *table) {
	r.status.table(t, t.state.Rows)
	r.metrics.quarantined.WithLabelValues(t.name()).Set(1)
	r.log.Error("table quarantined: its changes are no longer written, the other tables go on", zap.String("table", t.name()), zap.String("error", t.state.Reason))
}
