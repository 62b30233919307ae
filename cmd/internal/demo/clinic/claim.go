package clinic

// Labels of the type claim_status.
const (
	pending = "pending"
	paid    = "paid"
	denied  = "denied"
)

// line is one position of a claim's bill. While the claim is pending nothing is allowed or denied.
type line struct {
	procedure string
	units     int16
	charge    cents
	allowed   cents
	denied    cents
}

// claim is a bill for a visit, with all that hangs on it: the sums over its lines and payments are its own amounts.
type claim struct {
	id                   int64
	visit                visit
	plan                 string
	status               string
	lines                []line
	billed, paid, denied cents
	submitted, decided   day
	payments             []cents // in the order received; the last may be the patient's share
	shared               bool    // the last payment is the patient's share
}

// claim fills c with the facts of claim i, counted from 0, reusing its slices, and leaves claimStream after them.
// The first claims go one to a visit; the rest are second claims with another plan.
func (w *world) claim(i int64, c *claim) {
	s := w.claimStream
	s.seek(w.seed, tagClaim, i)
	c.id, c.visit = i+1, w.visit(i%w.n.visits)
	c.plan = plans[c.visit.patient.plan]
	if i >= w.n.visits {
		c.plan = plans[w.planOf.draw(s)]
	}
	c.submitted = c.visit.day + day(s.between(1, 14)) //nolint:gosec // days
	c.decided = c.submitted + 5 + day(s.ExpFloat64()*18)
	c.status = w.decide(s, c.decided)
	w.bill(s, c)
	c.pay(s)
}

// decide gives the status of a claim whose answer is due on a day: about 85 % paid, 10 % denied, 5 % pending.
func (w *world) decide(s *stream, due day) string {
	switch p := s.Float64(); {
	case due > lastDay || p < 0.03:
		return pending
	case p < 0.135:
		return denied
	default:
		return paid
	}
}

// bill draws the claim's lines and sums them up.
func (w *world) bill(s *stream, c *claim) {
	c.lines, c.billed, c.paid, c.denied = c.lines[:0], 0, 0, 0
	rate := 0.55 + 0.4*s.Float64()
	for n := range w.lineCount.draw(s) + 1 {
		l := line{
			procedure: procedures[w.procedure.draw(s)],
			units:     1,
			charge:    s.lognormal(11_500, 0.9, 500, 4_500_000),
		}
		if s.chance(0.12) {
			l.units = int16(s.between(2, 4)) //nolint:gosec // small
			l.charge *= cents(l.units)
		}
		switch {
		case c.status == denied, c.status == paid && n > 0 && s.chance(0.05):
			l.denied = l.charge
		case c.status == paid:
			l.allowed = l.charge.share(rate)
		}
		c.lines = append(c.lines, l)
		c.billed, c.paid, c.denied = c.billed+l.charge, c.paid+l.allowed, c.denied+l.denied
	}
}

// pay splits what a paid claim brought into its payments: one, or the insurer's and the patient's share.
func (c *claim) pay(s *stream) {
	c.payments, c.shared = c.payments[:0], false
	if c.status != paid {
		return
	}
	if c.plan != selfPay && s.chance(0.08) {
		patients := c.paid.share(0.1 + 0.2*s.Float64())
		c.payments, c.shared = append(c.payments, c.paid-patients, patients), true
		return
	}
	c.payments = append(c.payments, c.paid)
}

// totals counts the claim lines and payments of all claims, which progress has to know before they are made.
func (w *world) totals() (lines, payments int64) {
	var c claim
	for i := range w.n.claims {
		w.claim(i, &c)
		lines += int64(len(c.lines))
		payments += int64(len(c.payments))
	}
	return lines, payments
}
