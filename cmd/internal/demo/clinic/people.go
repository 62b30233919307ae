package clinic

import (
	"strconv"
	"time"
)

// clinicTable makes public.clinics.
func (w *world) clinicTable() *table {
	s := newStream(w.seed, tagClinic)
	columns := []string{
		"clinic_id", "code", "name", "city", "state", "zip", "beds", "teaching", "latitude", "longitude", "opened_on", "closed_on",
	}
	return &table{name: "clinics", rows: w.n.clinics, columns: columns, row: func(i int64) []any {
		s.seek(w.seed, tagClinic, i+1) // 0 drew the areas
		area := areas[w.areaOf[i]]
		city := pick(s, w.cities)
		zip5 := zip(s, area.zip3)
		beds, teaching := int16(s.between(0, 400)), s.chance(0.2) //nolint:gosec // small
		latitude, longitude := 25+23*s.Float64(), -122+50*s.Float64()
		opened := firstDay - day(s.between(300, 18_000))       //nolint:gosec // 50 years
		closed := lastDay - day(s.between(0, 60))              //nolint:gosec // two months
		name := city + " Clinic " + strconv.FormatInt(i+1, 10) // the number makes it unique
		return []any{
			int32(i + 1), numbered("C", i+1, 5), name, city, area.state, zip5, beds, teaching, latitude, longitude, //nolint:gosec // at most 500
			opened, orNull(closed, s.chance(0.03)),
		}
	}}
}

// providerTable makes public.providers.
func (w *world) providerTable() *table {
	clinicOf := make([]int32, w.n.providers)
	for c, staff := range w.providersOf {
		for _, p := range staff {
			clinicOf[p] = int32(c + 1)
		}
	}
	s := newStream(w.seed, tagProvider)
	columns := []string{"provider_id", "clinic_id", "npi", "name", "specialty", "rating", "accepting", "hired_on", "left_on"}
	return &table{name: "providers", rows: w.n.providers, columns: columns, row: func(i int64) []any {
		s.seek(w.seed, tagProvider, i+1) // 0 assigned the clinics
		name, specialty := "Dr. "+w.name(s), pick(s, specialties)
		rating, accepting := float32(s.between(20, 50))/10, s.chance(0.8)
		hired := firstDay - day(s.between(0, 7_000)) //nolint:gosec // 20 years
		left := lastDay - day(s.between(0, 300))     //nolint:gosec // a year
		return []any{
			int32(i + 1), clinicOf[i], numbered("1", (i*7919+100_003)%1_000_000_000, 9), name, specialty, //nolint:gosec // at most 5,000
			orNull(rating, s.chance(0.85)), accepting, hired, orNull(left, s.chance(0.07)),
		}
	}}
}

// patientTable makes public.patients.
func (w *world) patientTable() *table {
	columns := []string{
		"patient_id", "mrn", "ssn", "name", "born", "sex", "email", "phone", "address", "city", "zip", "plan", "coverage_start", "coverage_end", "portal_user", "updated_at",
	}
	return &table{name: "patients", rows: w.n.patients, columns: columns, row: func(i int64) []any {
		p, s := w.patient(i), w.patientStream
		name, email, call := w.name(s), w.email(s), phone(s)
		address, city, zip5 := w.address(s), pick(s, w.cities), zip(s, areas[w.areaOf[p.clinic]].zip3)
		sex := [...]string{"F", "M", "F", "M", "F", "M", "F", "M", "F", "X"}[s.IntN(10)]
		plan, start, end := plans[p.plan], max(p.born, firstDay-day(s.IntN(4_000))), coverageEnd(s) //nolint:gosec // days
		portal, updated := s.chance(0.6), (firstDay + day(s.IntN(1_000))).at(s.IntN(86_400))        //nolint:gosec // days
		return []any{
			p.id, p.mrn, socialSecurity(i), name, p.born, sex, orNull(email, s.chance(0.78)), orNull(call, s.chance(0.95)), address, city, zip5, plan,
			orNull(start, plan != selfPay), orNull(end, plan != selfPay), portal, updated,
		}
	}}
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
	s := newStream(w.seed, tagVisitRow)
	columns := []string{
		"visit_id", "patient_id", "mrn", "provider_id", "clinic_id", "scheduled_for", "started_at", "ended_at", "diagnosis_codes", "temperature_c", "vitals", "notes", "follow_up",
	}
	return &table{name: "visits", rows: w.n.visits, columns: columns, row: func(i int64) []any {
		v := w.visit(i)
		s.seek(w.seed, tagVisitRow, i)
		slot := s.between(8*4, 18*4) * 900
		started := v.day.at(slot + 5*3600 + s.IntN(2_400)).Add(time.Duration(s.IntN(1_000_000)) * time.Microsecond)
		ended := started.Add(time.Duration(s.between(6, 70)) * time.Minute)
		codes := []string{}
		for range s.between(0, 2) + s.between(0, 2) {
			codes = append(codes, diagnoses[w.diagnosis.draw(s)])
		}
		temperature, measured, followUp := float32(s.between(362, 391))/10, vitals(s), s.chance(0.3)
		text := note
		if s.chance(0.01) {
			text = scan
		}
		notes := text(s)
		return []any{
			v.id, v.patient.id, v.patient.mrn, int32(v.provider + 1), int32(v.clinic + 1), v.day.at(slot), started, //nolint:gosec // at most 5,000
			orNull(ended, s.chance(0.98)), codes, orNull(temperature, s.chance(0.7)), orNull(measured, s.chance(0.9)),
			orNull(notes, len(notes) > 4000 || s.chance(0.8)), followUp,
		}
	}}
}
