package clinic

import "time"

// claimTable makes public.claims.
func (w *world) claimTable() *table {
	var (
		c         claim
		clinic    int32
		submitted time.Time
		deniedAt  time.Time
	)
	s := newStream(w.seed, tagClaimRow)
	t := &table{
		name: "claims", rows: w.n.claims,
		columns: []string{
			"claim_id", "visit_id", "clinic_id", "patient_id", "plan", "service_date", "status", "billed", "paid", "denied",
			"submitted_at", "denied_at",
		},
		values: []any{
			&c.id, &c.visit.id, &clinic, &c.visit.patient.id, &c.plan, &c.visit.day, &c.status, &c.billed, &c.paid, &c.denied,
			&submitted, &deniedAt,
		},
	}
	t.write = func(i int64) {
		w.claim(i, &c)
		s.seek(w.seed, tagClaimRow, i)
		clinic = int32(c.visit.clinic + 1) //nolint:gosec // at most 500
		submitted = c.submitted.at(s.IntN(86_400))
		deniedAt = c.decided.at(s.IntN(86_400))
		t.values[8] = orNull(&c.paid, c.status != pending)
		t.values[9] = orNull(&c.denied, c.status != pending)
		t.values[11] = orNull(&deniedAt, c.status == denied)
	}
	return t
}

// lineTable makes public.claim_lines: rows lines, claim by claim.
func (w *world) lineTable(rows int64) *table {
	var (
		c        claim
		l        line
		no       int16
		modifier string
		claims   int64
	)
	t := &table{
		name: "claim_lines", rows: rows,
		columns: []string{"claim_id", "line_no", "procedure_code", "modifier", "units", "charge", "allowed", "denied"},
		values:  []any{&c.id, &no, &l.procedure, &modifier, &l.units, &l.charge, &l.allowed, &l.denied},
	}
	t.write = func(int64) {
		if int(no) == len(c.lines) {
			w.claim(claims, &c)
			claims, no = claims+1, 0
		}
		l = c.lines[no]
		no++
		p := w.claimStream.IntN(20)
		modifier = [...]string{"25", "59", "TC"}[p%3]
		t.values[3] = orNull(&modifier, p < 4)
		t.values[6] = orNull(&l.allowed, c.status != pending)
	}
	return t
}

// paymentTable makes public.payments: rows payments, claim by claim.
func (w *world) paymentTable(rows int64) *table {
	var (
		c                      claim
		id, claims             int64
		next                   int
		payer, method, checkNo string
		amount                 cents
		received               day
		posted                 time.Time
	)
	t := &table{
		name: "payments", rows: rows,
		columns: []string{"payment_id", "claim_id", "payer", "method", "amount", "received_on", "posted_at", "check_no"},
		values:  []any{&id, &c.id, &payer, &method, &amount, &received, &posted, &checkNo},
	}
	t.write = func(i int64) {
		for ; next == len(c.payments); claims++ {
			w.claim(claims, &c)
			next = 0
		}
		s := w.claimStream
		id, amount, payer = i+1, c.payments[next], c.plan
		next++
		if c.shared && next == len(c.payments) {
			payer = "Patient"
		}
		method = [...]string{"eft", "eft", "eft", "check", "card"}[s.IntN(5)]
		checkNo = numbered("", int64(s.IntN(1_000_000_000)), 9)
		received = c.decided + day(s.between(0, 9)) //nolint:gosec // days
		posted = received.at(s.IntN(86_400))
		t.values[7] = orNull(&checkNo, method == "check")
	}
	return t
}
