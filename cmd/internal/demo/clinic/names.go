package clinic

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/brianvoe/gofakeit/v7"
)

// pools are the words that rows are made of: a few thousand drawn once, because a faker call per row would cost more
// than the load itself.
type pools struct {
	first, last, cities          []string
	planOf, procedure, diagnosis weighted // indexes of plans, procedures and diagnoses
}

// newPools draws the pools for a seed.
func newPools(seed uint64) pools {
	fake := gofakeit.NewFaker(newStream(seed, tagPools).src, false)
	draw := func(n int, word func() string) []string {
		words := make([]string, n)
		for i := range words {
			words[i] = word()
		}
		return words
	}
	return pools{
		first: draw(800, fake.FirstName), last: draw(2000, fake.LastName), cities: draw(700, fake.City),
		planOf: newWeighted(zipf(len(plans), 0.8)), procedure: newWeighted(zipf(len(procedures), 1)), diagnosis: newWeighted(zipf(len(diagnoses), 0.9)),
	}
}

// pick draws one word of a pool, all alike.
func pick(s *stream, words []string) string { return words[s.IntN(len(words))] }

// name is a person's full name.
func (p *pools) name(s *stream) string { return pick(s, p.first) + " " + pick(s, p.last) }

// address is a house number and a street.
func (p *pools) address(s *stream) string {
	return strconv.Itoa(s.between(1, 9999)) + " " + pick(s, p.last) + pick(s, streetKinds)
}

// email is an address under a domain reserved for examples.
func (p *pools) email(s *stream) string {
	return pick(s, p.first) + "." + pick(s, p.last) + strconv.Itoa(s.IntN(1000)) + "@example.com"
}

// phone is a number of the range 555-0100 to 555-0199, reserved for fiction.
func phone(s *stream) string {
	return "(" + strconv.Itoa(s.between(201, 989)) + numbered(") 555-01", int64(s.IntN(100)), 2)
}

// zip is a five-digit code in the area of a clinic.
func zip(s *stream, area string) string { return numbered(area, int64(s.IntN(100)), 2) }

// areas are three-digit postal areas and their states; 036 and 821 hold fewer than 20,000 people.
var areas = []struct{ zip3, state string }{
	{"606", "IL"}, {"100", "NY"}, {"770", "TX"}, {"902", "CA"}, {"331", "FL"}, {"021", "MA"},
	{"981", "WA"}, {"802", "CO"}, {"303", "GA"}, {"553", "MN"}, {"036", "NH"}, {"821", "WY"},
}

// plans are the insurers, the commonest first; the last is none.
var plans = []string{
	"Medicare", "Harbor PPO", "Medicaid", "Summit Gold", "Harbor HMO", "Northwind EPO", "Summit Silver", "Union Trust", selfPay,
}

const selfPay = "Self-pay"

var streetKinds = []string{" Street", " Avenue", " Road", " Lane", " Drive", " Court"}

var specialties = []string{
	"Family Medicine", "Internal Medicine", "Pediatrics", "Cardiology", "Orthopedics", "Dermatology",
	"Obstetrics", "Neurology", "Radiology", "Emergency Medicine", "Psychiatry", "Ophthalmology",
}

// diagnoses are ICD-10 codes, the commonest first.
var diagnoses = []string{
	"I10", "Z00.00", "E11.9", "E78.5", "J06.9", "M54.50", "F41.1", "K21.9", "J45.909", "N39.0", "R05.9", "F32.A",
	"Z23", "E03.9", "M25.561", "R51.9", "G47.33", "J02.9", "H52.13", "L30.9", "I25.10", "N18.30", "D64.9", "R10.9",
	"J20.9", "M17.11", "E66.9", "B34.9", "S93.401A", "Z79.4", "I48.91", "J44.9", "K59.00", "L70.0", "R73.03", "O09.90",
}

// procedures are CPT codes, the commonest first.
var procedures = []string{
	"99213", "99214", "36415", "80053", "85025", "99203", "93000", "83036", "80061", "81003", "99396", "90471",
	"71046", "97110", "73630", "87880", "99284", "76830", "11102", "20610", "45378", "70450", "27447", "66984",
}

var openings = []string{
	"Patient reports mild discomfort", "Routine follow-up", "Annual physical", "New complaint of intermittent pain",
	"Medication review", "Seen for persistent cough", "Post-operative check", "Referred by another clinic",
}

var findings = []string{
	"vital signs stable", "no acute distress", "lungs clear on both sides", "slight swelling, full range of motion",
	"labs pending", "blood pressure above target", "symptoms improving", "no change since the last visit",
}

var outcomes = []string{
	"return in 3 months", "continue current treatment", "dose adjusted", "referred to a specialist",
	"imaging ordered", "advised rest and fluids", "discharged", "call if it gets worse",
}

// note is a sentence or two of a visit.
func note(s *stream) string {
	return pick(s, openings) + "; " + pick(s, findings) + "; " + pick(s, outcomes) + "."
}

// scan is a note with 4 to 20 KB of base64 that no compression shortens enough to keep it in the row.
func scan(s *stream) string {
	raw := make([]byte, s.between(3_000, 15_000))
	for i := 0; i+8 <= len(raw); i += 8 {
		binary.LittleEndian.PutUint64(raw[i:], s.Uint64())
	}
	return "Scanned attachment (base64): " + base64.StdEncoding.EncodeToString(raw)
}

// vitals is the JSON of a visit's measurements.
func vitals(s *stream) string {
	return fmt.Sprintf(`{"bp": "%d/%d", "pulse": %d, "spo2": %d, "weight_kg": %.1f}`,
		s.between(95, 175), s.between(55, 105), s.between(48, 120), s.between(89, 100), float64(s.between(80, 1400))/10)
}
