package clinic

// claimTable makes public.claims.
func (w *world) claimTable() *table {
	var c claim
	s := newStream(w.seed, tagClaimRow)
	columns := []string{
		"claim_id", "visit_id", "clinic_id", "patient_id", "plan", "service_date", "status", "billed", "paid", "denied", "submitted_at", "denied_at",
	}
	return &table{name: "claims", rows: w.n.claims, columns: columns, row: func(i int64) []any {
		w.claim(i, &c)
		s.seek(w.seed, tagClaimRow, i)
		submitted, decided := c.submitted.at(s.IntN(86_400)), c.decided.at(s.IntN(86_400))
		return []any{
			c.id, c.visit.id, int32(c.visit.clinic + 1), c.visit.patient.id, c.plan, c.visit.day, c.status, c.billed, //nolint:gosec // at most 500
			orNull(c.paid, c.status != pending), orNull(c.denied, c.status != pending), submitted, orNull(decided, c.status == denied),
		}
	}}
}

// lineTable makes public.claim_lines: rows lines, claim by claim.
func (w *world) lineTable(rows int64) *table {
	var c claim
	var no int16
	var claims int64
	columns := []string{"claim_id", "line_no", "procedure_code", "modifier", "units", "charge", "allowed", "denied"}
	return &table{name: "claim_lines", rows: rows, columns: columns, row: func(int64) []any {
		if int(no) == len(c.lines) {
			w.claim(claims, &c)
			claims, no = claims+1, 0
		}
		l := c.lines[no]
		no++
		p := w.claimStream.IntN(20)
		modifier := [...]string{"25", "59", "TC"}[p%3]
		return []any{c.id, no, l.procedure, orNull(modifier, p < 4), l.units, l.charge, orNull(l.allowed, c.status != pending), l.denied}
	}}
}

// paymentTable makes public.payments: rows payments, claim by claim.
func (w *world) paymentTable(rows int64) *table {
	var c claim
	var claims int64
	var next int
	columns := []string{"payment_id", "claim_id", "payer", "method", "amount", "received_on", "posted_at", "check_no"}
	return &table{name: "payments", rows: rows, columns: columns, row: func(i int64) []any {
		for ; next == len(c.payments); claims++ {
			w.claim(claims, &c)
			next = 0
		}
		s, amount, payer := w.claimStream, c.payments[next], c.plan
		next++
		if c.shared && next == len(c.payments) {
			payer = "Patient"
		}
		method := [...]string{"eft", "eft", "eft", "check", "card"}[s.IntN(5)]
		checkNo := numbered("", int64(s.IntN(1_000_000_000)), 9)
		received := c.decided + day(s.between(0, 9)) //nolint:gosec // days
		return []any{i + 1, c.id, payer, method, amount, received, received.at(s.IntN(86_400)), orNull(checkNo, method == "check")}
	}}
}
