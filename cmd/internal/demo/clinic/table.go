package clinic

// table is one table of the clinic as a pgx.CopyFromSource.
type table struct {
	name    string
	columns []string
	rows    int64
	// row makes the values of row i; nil is NULL. Rows are asked for once each, in order, from 0.
	row func(i int64) []any

	next   int64
	values []any
	// every is called with the number of rows made, each progressRows rows; nil for none.
	every func(done int64)
}

// progressRows is how many rows pass between two reports of progress.
const progressRows = 4096

// Next implements pgx.CopyFromSource.
func (t *table) Next() bool {
	if t.every != nil && t.next%progressRows == 0 && t.next > 0 {
		t.every(t.next)
	}
	if t.next == t.rows {
		return false
	}
	t.values = t.row(t.next)
	t.next++
	return true
}

// Values implements pgx.CopyFromSource.
func (t *table) Values() ([]any, error) { return t.values, nil }

// Err implements pgx.CopyFromSource; making rows cannot fail.
func (t *table) Err() error { return nil }

// orNull gives v, or NULL where there is no value.
func orNull(v any, there bool) any {
	if there {
		return v
	}
	return nil
}

// tables are all tables in the order of their foreign keys.
func (w *world) tables() []*table {
	lines, payments := w.totals()
	return []*table{
		w.clinicTable(), w.providerTable(), w.patientTable(), w.visitTable(),
		w.claimTable(), w.lineTable(lines), w.paymentTable(payments),
	}
}
