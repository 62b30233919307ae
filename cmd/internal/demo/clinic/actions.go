package clinic

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// action is one kind of transaction. do runs inside it and reports the rows it changed.
type action struct {
	name   string
	weight float64
	do     func(*client, context.Context, pgx.Tx) (changes, error)
}

// actions and how often each is chosen: 1 to about 30 rows a transaction.
var actions = []action{
	{"open visits", 30, (*client).openVisits},
	{"adjudicate claims", 30, (*client).adjudicate},
	{"move patients", 15, (*client).movePatients},
	{"take vital signs", 17, (*client).takeVitals},
	{"void claims", 8, (*client).voidClaims},
}

// actionOf draws an action's index.
var actionOf = newWeighted(func() []float64 {
	weights := make([]float64, len(actions))
	for i, a := range actions {
		weights[i] = a.weight
	}
	return weights
}())

// openVisits inserts one to three visits, each with a pending claim and its lines.
func (c *client) openVisits(ctx context.Context, tx pgx.Tx) (made changes, err error) {
	for range c.between(1, 3) {
		rows, err := c.openVisit(ctx, tx)
		if err != nil {
			return made, err
		}
		made.inserted += rows
	}
	return made, nil
}

// openVisit inserts one visit; a row counts for each statement that found its patient and provider.
func (c *client) openVisit(ctx context.Context, tx pgx.Tx) (int64, error) {
	id, t := newUUID(c.stream), c.targets
	codes := []string{diagnoses[t.diagnosis.draw(c.stream)]}
	text := note(c.stream)
	if c.chance(0.03) {
		text = scan(c.stream)
	}
	patientID, providerID := 1+c.Int64N(t.patients), 1+c.Int64N(t.providers)
	visits, err := tx.Exec(ctx, `
		INSERT INTO public.visits (visit_id, patient_id, mrn, provider_id, clinic_id, scheduled_for, started_at,
		                           diagnosis_codes, temperature_c, vitals, notes, follow_up)
		SELECT $1, p.patient_id, p.mrn, d.provider_id, d.clinic_id, localtimestamp(0), now(), $4, $5, $6, $7, false
		FROM public.patients p, public.providers d
		WHERE p.patient_id = $2 AND d.provider_id = $3`,
		id, patientID, providerID, codes, float32(c.between(362, 391))/10, vitals(c.stream), text)
	if err != nil {
		return 0, err
	}
	rows, err := c.openClaim(ctx, tx, id)
	return rows + visits.RowsAffected(), err
}

// openClaim inserts a pending claim for a visit, and its lines.
func (c *client) openClaim(ctx context.Context, tx pgx.Tx, visit pgtype.UUID) (int64, error) {
	charges, billed := make([]cents, c.between(1, 5)), cents(0)
	for i := range charges {
		charges[i] = c.lognormal(11_500, 0.9, 500, 4_500_000)
		billed += charges[i]
	}
	var claimID int64
	err := tx.QueryRow(ctx, `
		INSERT INTO public.claims (visit_id, clinic_id, patient_id, plan, service_date, status, billed, submitted_at)
		SELECT visit_id, clinic_id, patient_id, $2, current_date, 'pending', $3, localtimestamp(0)
		FROM public.visits WHERE visit_id = $1
		RETURNING claim_id`, visit, plans[c.targets.planOf.draw(c.stream)], billed).Scan(&claimID)
	if err != nil {
		return 0, err
	}
	var lines pgx.Batch
	for i, charge := range charges {
		lines.Queue(`
			INSERT INTO public.claim_lines (claim_id, line_no, procedure_code, units, charge, denied)
			VALUES ($1, $2, $3, 1, $4, 0)`, claimID, i+1, procedures[c.targets.procedure.draw(c.stream)], charge)
	}
	return int64(1 + len(charges)), tx.SendBatch(ctx, &lines).Close()
}

// adjudicate decides one to eight pending claims: most are paid, some denied.
func (c *client) adjudicate(ctx context.Context, tx pgx.Tx) (made changes, err error) {
	claims, err := list[int64](ctx, tx, `
		SELECT claim_id FROM public.claims WHERE status = 'pending' AND claim_id >= $1
		ORDER BY claim_id LIMIT $2 FOR UPDATE SKIP LOCKED`, c.Int64N(c.targets.claims), c.between(1, 8))
	if err != nil {
		return made, err
	}
	cut := len(claims)
	if c.chance(0.25) {
		cut = c.IntN(len(claims) + 1)
	}
	if err := c.payClaims(ctx, tx, claims[:cut], &made); err != nil {
		return made, err
	}
	return made, denyClaims(ctx, tx, claims[cut:], &made)
}

// payClaims allows a part of each charge and posts one payment a claim.
func (c *client) payClaims(ctx context.Context, tx pgx.Tx, claims []int64, made *changes) error {
	if len(claims) == 0 {
		return nil
	}
	err := counted(ctx, tx, &made.updated, `
		UPDATE public.claim_lines SET allowed = round(charge * $2::numeric, 2), denied = 0
		WHERE claim_id = ANY($1)`, claims, cents(c.between(55, 95)))
	if err != nil {
		return err
	}
	err = counted(ctx, tx, &made.updated, `
		UPDATE public.claims c SET status = 'paid', paid = l.allowed, denied = l.denied
		FROM (SELECT claim_id, sum(allowed) AS allowed, sum(denied) AS denied
		      FROM public.claim_lines WHERE claim_id = ANY($1) GROUP BY claim_id) l
		WHERE c.claim_id = l.claim_id`, claims)
	if err != nil {
		return err
	}
	return counted(ctx, tx, &made.inserted, `
		INSERT INTO public.payments (claim_id, payer, method, amount, received_on, posted_at)
		SELECT claim_id, plan, 'eft', paid, current_date, now() FROM public.claims WHERE claim_id = ANY($1)`, claims)
}

// denyClaims denies every line.
func denyClaims(ctx context.Context, tx pgx.Tx, claims []int64, made *changes) error {
	if len(claims) == 0 {
		return nil
	}
	err := counted(ctx, tx, &made.updated, "UPDATE public.claim_lines SET allowed = 0, denied = charge WHERE claim_id = ANY($1)", claims)
	if err != nil {
		return err
	}
	return counted(ctx, tx, &made.updated, "UPDATE public.claims SET status = 'denied', paid = 0, denied = billed, denied_at = now() WHERE claim_id = ANY($1)", claims)
}

// movePatients gives one to five patients a new address and perhaps a new number.
func (c *client) movePatients(ctx context.Context, tx pgx.Tx) (made changes, err error) {
	ids := make([]int64, c.between(1, 5))
	for i := range ids {
		ids[i] = 1 + c.Int64N(c.targets.patients)
	}
	slices.Sort(ids) // all clients lock in one order
	for _, id := range slices.Compact(ids) {
		err = counted(ctx, tx, &made.updated, `
			UPDATE public.patients SET address = $2, city = $3, zip = $4, phone = $5, updated_at = now()
			WHERE patient_id = $1`, id, c.targets.address(c.stream), pick(c.stream, c.targets.cities),
			zip(c.stream, areas[c.IntN(len(areas))].zip3), phone(c.stream))
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// takeVitals corrects the measurements of one to nine visits, often one with a large note that stays as it is: its
// column comes through the stream as "unchanged".
func (c *client) takeVitals(ctx context.Context, tx pgx.Tx) (made changes, err error) {
	const some = "SELECT visit_id FROM public.visits WHERE visit_id >= $1 ORDER BY visit_id LIMIT $2"
	visits, err := list[pgtype.UUID](ctx, tx, some, newUUID(c.stream), c.between(1, 8))
	if err != nil {
		return made, err
	}
	if n := len(c.targets.scanned); n > 0 && c.chance(0.5) {
		visits = append(visits, c.targets.scanned[c.IntN(n)])
	}
	slices.SortFunc(visits, func(a, b pgtype.UUID) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	for _, id := range visits {
		err = counted(ctx, tx, &made.updated,
			"UPDATE public.visits SET vitals = $2, temperature_c = $3, ended_at = coalesce(ended_at, now()) WHERE visit_id = $1",
			id, vitals(c.stream), float32(c.between(362, 391))/10)
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// voidClaims deletes one to four claims with all that hangs on them.
func (c *client) voidClaims(ctx context.Context, tx pgx.Tx) (made changes, err error) {
	const some = "SELECT claim_id FROM public.claims WHERE claim_id >= $1 ORDER BY claim_id LIMIT $2 FOR UPDATE SKIP LOCKED"
	claims, err := list[int64](ctx, tx, some, c.Int64N(c.targets.claims), c.between(1, 4))
	if err != nil || len(claims) == 0 {
		return made, err
	}
	for _, table := range []string{"payments", "claim_lines", "claims"} {
		if err := counted(ctx, tx, &made.deleted, "DELETE FROM public."+table+" WHERE claim_id = ANY($1)", claims); err != nil {
			return made, err
		}
	}
	return made, nil
}

// list reads the only column of a query.
func list[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// counted runs a statement and adds the rows that it changed to n.
func counted(ctx context.Context, tx pgx.Tx, n *int64, sql string, args ...any) error {
	tag, err := tx.Exec(ctx, sql, args...)
	*n += tag.RowsAffected()
	return err
}
