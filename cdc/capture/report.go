package capture

import (
	"time"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// reporter is where a capture says what it does: log, metrics and status. It lives as long as the capture.
type reporter struct {
	log     *zap.Logger
	metrics *Metrics
	status  *status
	warned  map[string]bool // findings that are repeated in every session and logged once
	// progressed is when the log last said how far a start has come.
	progressed time.Time
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

// waits says what a session in Postgres waits for; nil that it goes on. It may be called while sessions work.
func (r *reporter) waits(why *cdc.Problem) {
	if why == nil {
		r.log.Info("what capture waited for in Postgres has ended; it goes on")
		r.status.update(func(now *Status) { now.Waiting = "" })
		return
	}
	r.log.Warn("capture waits in Postgres", zap.Error(why))
	r.status.update(func(now *Status) { now.Waiting = why.Error() })
}

// progressEvery is how often the log says how far a start has come.
const progressEvery = 5 * time.Second

// progress says how many of a start's tables have come through a step; it is called by one goroutine at a time.
func (r *reporter) progress(step string, done, all int) {
	r.status.update(func(now *Status) { now.Progress = step + ": " + cdc.OfTables(done, all) })
	switch now := time.Now(); {
	case done == 0: // a quick start says nothing
		r.progressed = now
	case now.Sub(r.progressed) >= progressEvery:
		r.progressed = now
		r.log.Info(step, zap.Int("tables", done), zap.Int("of", all))
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

// policyChanged says what a new copy under other policies leaves behind. before is the print of the former ones,
// empty for a first copy.
func (r *reporter) policyChanged(t *table, before string) {
	if before != "" && before != t.state.PolicyPrint {
		r.log.Warn("the policies of a table have changed: values captured under the former ones stay in ClickHouse until load has the new copy, "+
			"and in the topic until Kafka's retention. Try: once the copy is complete, "+cdc.PurgeCommand(t.name()), zap.String("table", t.name()))
	}
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
