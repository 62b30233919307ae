package clinic

import (
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// clinicTable makes public.clinics.
func (w *world) clinicTable() *table {
	var (
		id                     int32
		code, name, city, zip5 string
		state                  string
		beds                   int16
		teaching               bool
		latitude, longitude    float64
		opened, closed         day
	)
	s := newStream(w.seed, tagClinic)
	t := &table{
		name: "clinics", rows: w.n.clinics,
		columns: []string{
			"clinic_id", "code", "name", "city", "state", "zip", "beds", "teaching", "latitude", "longitude", "opened_on", "closed_on",
		},
		values: []any{&id, &code, &name, &city, &state, &zip5, &beds, &teaching, &latitude, &longitude, &opened, nil},
	}
	t.write = func(i int64) {
		s.seek(w.seed, tagClinic, i+1) // 0 drew the areas
		area := areas[w.areaOf[i]]
		id = int32(i + 1) //nolint:gosec // at most 500
		code = numbered("C", i+1, 5)
		city, state = pick(s, w.cities), area.state
		name = city + " Clinic " + strconv.FormatInt(i+1, 10) // the number makes it unique
		zip5 = zip(s, area.zip3)
		beds, teaching = int16(s.between(0, 400)), s.chance(0.2) //nolint:gosec // small
		latitude, longitude = 25+23*s.Float64(), -122+50*s.Float64()
		opened = firstDay - day(s.between(300, 18_000)) //nolint:gosec // 50 years
		closed = lastDay - day(s.between(0, 60))        //nolint:gosec // two months
		t.values[11] = orNull(&closed, s.chance(0.03))
	}
	return t
}

// providerTable makes public.providers.
func (w *world) providerTable() *table {
	var (
		id, clinic           int32
		npi, name, specialty string
		rating               float32
		accepting            bool
		hired, left          day
	)
	clinicOf := make([]int32, w.n.providers)
	for c, staff := range w.providersOf {
		for _, p := range staff {
			clinicOf[p] = int32(c + 1)
		}
	}
	s := newStream(w.seed, tagProvider)
	t := &table{
		name: "providers", rows: w.n.providers,
		columns: []string{"provider_id", "clinic_id", "npi", "name", "specialty", "rating", "accepting", "hired_on", "left_on"},
		values:  []any{&id, &clinic, &npi, &name, &specialty, &rating, &accepting, &hired, &left},
	}
	t.write = func(i int64) {
		s.seek(w.seed, tagProvider, i+1)     // 0 assigned the clinics
		id, clinic = int32(i+1), clinicOf[i] //nolint:gosec // at most 5,000
		npi = numbered("1", (i*7919+100_003)%1_000_000_000, 9)
		name, specialty = "Dr. "+w.name(s), pick(s, specialties)
		rating, accepting = float32(s.between(20, 50))/10, s.chance(0.8)
		hired = firstDay - day(s.between(0, 7_000)) //nolint:gosec // 20 years
		left = lastDay - day(s.between(0, 300))     //nolint:gosec // a year
		t.values[5] = orNull(&rating, s.chance(0.85))
		t.values[8] = orNull(&left, s.chance(0.07))
	}
	return t
}

// patientTable makes public.patients.
func (w *world) patientTable() *table {
	var (
		p                                                patient
		ssn, name, sex, email, call, address, city, zip5 string
		plan                                             string
		start, end                                       day
		portal                                           bool
		updated                                          time.Time
	)
	t := &table{
		name: "patients", rows: w.n.patients,
		columns: []string{
			"patient_id", "mrn", "ssn", "name", "born", "sex", "email", "phone", "address", "city", "zip", "plan",
			"coverage_start", "coverage_end", "portal_user", "updated_at",
		},
		values: []any{
			&p.id, &p.mrn, &ssn, &name, &p.born, &sex, &email, &call, &address, &city, &zip5, &plan,
			&start, &end, &portal, &updated,
		},
	}
	t.write = func(i int64) {
		p = w.patient(i)
		s := w.patientStream
		ssn = socialSecurity(i)
		name, email, call = w.name(s), w.email(s), phone(s)
		address, city, zip5 = w.address(s), pick(s, w.cities), zip(s, areas[w.areaOf[p.clinic]].zip3)
		sex = [...]string{"F", "M", "F", "M", "F", "M", "F", "M", "F", "X"}[s.IntN(10)]
		plan, start, end = plans[p.plan], max(p.born, firstDay-day(s.IntN(4_000))), coverageEnd(s) //nolint:gosec // days
		portal, updated = s.chance(0.6), (firstDay + day(s.IntN(1_000))).at(s.IntN(86_400))        //nolint:gosec // days
		t.values[6] = orNull(&email, s.chance(0.78))
		t.values[7] = orNull(&call, s.chance(0.95))
		t.values[12] = orNull(&start, plan != selfPay)
		t.values[13] = orNull(&end, plan != selfPay)
	}
	return t
}

// socialSecurity numbers patients in the 900 area, which is never issued.
func socialSecurity(i int64) string {
	n := (i*38_461_537 + 17_000_003) % 100_000_000
	return numbered("9", n/1_000_000, 2) + numbered("-", n/10_000%100, 2) + numbered("-", n%10_000, 4)
}

// coverageEnd is open in the three ways in which people write it (infinity, 9999-12-31, and the caller's NULL), or the
// end of a year.
func coverageEnd(s *stream) day {
	switch p := s.Float64(); {
	case p < 0.35:
		return forever
	case p < 0.6:
		return dayOf(9999, time.December, 31)
	default:
		return dayOf(2024+s.IntN(4), time.December, 31)
	}
}

// visitTable makes public.visits.
func (w *world) visitTable() *table {
	var (
		id                        pgtype.UUID
		patient                   int64
		mrn, measured, text       string
		provider, clinic          int32
		scheduled, started, ended time.Time
		codes                     []string
		temperature               float32
		followUp                  bool
	)
	s := newStream(w.seed, tagVisitRow)
	t := &table{
		name: "visits", rows: w.n.visits,
		columns: []string{
			"visit_id", "patient_id", "mrn", "provider_id", "clinic_id", "scheduled_for", "started_at", "ended_at",
			"diagnosis_codes", "temperature_c", "vitals", "notes", "follow_up",
		},
		values: []any{
			&id, &patient, &mrn, &provider, &clinic, &scheduled, &started, &ended, &codes, &temperature, &measured, &text, &followUp,
		},
	}
	t.write = func(i int64) {
		v := w.visit(i)
		s.seek(w.seed, tagVisitRow, i)
		id, patient, mrn = v.id, v.patient.id, v.patient.mrn
		provider, clinic = int32(v.provider+1), int32(v.clinic+1) //nolint:gosec // at most 5,000
		slot := s.between(8*4, 18*4) * 900
		scheduled = v.day.at(slot)
		started = v.day.at(slot + 5*3600 + s.IntN(2_400)).Add(time.Duration(s.IntN(1_000_000)) * time.Microsecond)
		ended = started.Add(time.Duration(s.between(6, 70)) * time.Minute)
		codes = codes[:0]
		for range s.between(0, 2) + s.between(0, 2) {
			codes = append(codes, diagnoses[w.diagnosis.draw(s)])
		}
		temperature, measured, followUp = float32(s.between(362, 391))/10, vitals(s), s.chance(0.3)
		if s.chance(0.01) {
			text = scan(s)
		} else {
			text = note(s)
		}
		t.values[7] = orNull(&ended, s.chance(0.98))
		t.values[9] = orNull(&temperature, s.chance(0.7))
		t.values[10] = orNull(&measured, s.chance(0.9))
		t.values[11] = orNull(&text, len(text) > 4000 || s.chance(0.8))
	}
	return t
}
