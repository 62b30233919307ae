package draft

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"dirtbike/schemas"
)

// guess is what should happen to a column, and why.
type guess struct {
	policy string
	why    string
}

// rule guesses by words of the column's name. The guesses follow the identifiers of 45 CFR 164.514(b)(2), and err on
// the private side: the person who reads the file can allow more.
type rule struct {
	// words match the name's words, joined by "_": "(^|_)(words)(_|$)".
	words *regexp.Regexp
	// kinds limits the rule to columns of these kinds; nil means all.
	kinds  []schemas.Kind
	policy string
	why    string
}

func words(alternatives string) *regexp.Regexp {
	return regexp.MustCompile(`(^|_)(?:` + alternatives + `)(_|$)`)
}

var (
	textKinds = []schemas.Kind{schemas.KindText, schemas.KindEnum, schemas.KindOther}
	dateKinds = []schemas.Kind{schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ}
	blobKinds = []schemas.Kind{schemas.KindBytea}
	numbers   = []schemas.Kind{schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindNumeric, schemas.KindNumericText, schemas.KindFloat4, schemas.KindFloat8}
	// plainKinds say nothing of a person that the column's name does not.
	plainKinds = slices.Concat(numbers, dateKinds, []schemas.Kind{schemas.KindBool, schemas.KindUUID})
)

// rules in the order in which they are asked; the first that matches counts.
var rules = []rule{
	{words("password|passwd|passwort|pwd|secret|token|api_?key|private_?key|credentials?|salt|otp|pin"), nil, "drop", "a secret"},
	{words("[a-z]*ssns?|(?:[a-z]*_)?ssn_?(?:[a-z]+|\\d+)|social_?security(?:_?(?:number|no|nr))?|driver_?s?_?licen[cs]es?(?:_?(?:number|no|nr|id))?|sin|tin|itin|ein|tax_?id|tax_number|national_?id|passport(?:_number|_no)?"), nil, "drop", "social security, tax, licence or passport number"},
	{words("biometrics?|finger_?prints?|retina|iris|voice_?print|face(?:_?(?:id|scan|print))?|dna|genome|genotype"), nil, "drop", "biometrics"},
	{words("photos?|pictures?|images?|avatar|portrait|selfie|headshot|xray|scan|signature"), nil, "drop", "photo or image"},
	{words("[a-z]*e_?mails?|mail_?address|email_address"), nil, "mask", "email address"},
	{words("[a-z]*fax(?:_?(?:number|no|nr))?"), nil, "mask", "fax number"},
	{words("[a-z]*phones?|telephone|tel|mobile|cell|cellphone|msisdn|pager|handy|telefon|[a-z]*phone_?(?:number|no|nr)|(?:mobile|cell|tele?fon|handy)_?(?:number|no|nr|nummer)"), nil, "mask", "phone number"},
	{words("ip|ips|ip_?v_?[46]|i_pv_[46]|ip_?addr(?:ess)?|remote_addr|client_addr|mac_?addr(?:ess)?"), nil, "drop", "IP or hardware address"},
	{words("urls?|uri|website|web_?site|homepage|link|href|referr?er"), nil, "drop", "URL"},
	{words("mrns?|mrn_?(?:code|number|no|nr|id)|medical_?record(?:_?(?:number|no|nr|id))?|chart_?(?:number|no)|patient_?(?:number|no|nr)"), nil, "hash", "medical record number"},
	{words("(?:health_?)?plan_?(?:number|no|nr)|(?:member|subscriber|beneficiary|insured|policy|medicaid|medicare|insurance|group)_?(?:number|no|nr)|(?:member|subscriber|beneficiary|insured|policy|medicaid|medicare|insurance)_?id|mbi|hicn"), nil, "hash", "health plan number"},
	{words("accounts?|account_?(?:number|no|nr)|acct|acct_?(?:number|no|nr)|iban|bic|card_?(?:number|no|nr|last_?\\d?)|last_?4|credit_?card|pan|cvv|cvc"), nil, "hash", "account number"},
	{words("licen[cs]es?|licen[cs]e_?(?:number|no|nr)|certificate(?:_?(?:number|no|nr))?|npi|dea(?:_?(?:number|no))?"), nil, "hash", "licence or certificate number"},
	{words("vin|license_plate|licence_plate|plate|number_plate|vehicle(?:_?(?:id|number|no|nr|serial))?"), nil, "hash", "vehicle number"},
	{words("devices?|device_?(?:id|number|no|nr|serial|identifier)|serial(?:_?(?:number|no|nr))?|imei|imsi|udi|udid|android_id|idfa|advertising_id"), nil, "hash", "device number"},
	{words("zip|zips|zip_?codes?|zip5|zip9|postal|postal_?codes?|post_?codes?|postcode|plz"), nil, "zip3", "postal code"},
	{words("lat|lon|lng|long|latitude|longitude|geo|geom|geometry|geo_?point|geohash|coordinates?|location"), nil, "drop", "geography below the state"},
	{words("ort|wohnort|stadt|strasse|anschrift|adresse|[a-z]*address|addr|address_?\\d|addr_?\\d|street|streets?_?\\d?|house_?(?:number|no)|apartment|apt|suite|city|town|village|county|parish|precinct|district|neighbou?rhood|birth_?place|place_of_birth"), nil, "mask", "geography below the state"},
	{words("dob|birth|born|birth_?date|birth_?day|date_?of_?birth|geb_?dat(?:um)?|geburts_?(?:datum|tag)|geboren"), dateKinds, "year", "date of birth"},
	{words("dob|birth|born|birth_?date|birth_?day|date_?of_?birth|geb_?dat(?:um)?|geburts_?(?:datum|tag)|geboren|birth_?year|year_of_birth"), nil, "drop", "birth"},
	{words("death|died|deceased|death_?date|date_?of_?death|deceased_at"), dateKinds, "year", "date of death"},
	{words("admitted|admission|admit|discharged?|visit(?:ed)?|encounter|appointment|service|procedure|surgery|treatment|treated|diagnos(?:is|ed)|onset|service_?dates?|date_?of_?(?:service|admission|discharge)|dos"), dateKinds, "year", "date of care: only its year is no identifier"},
	{words("age|ages"), numbers, "drop", "an age over 89 may identify the person"},
	{words("[a-z]*names?|first_?name|last_?name|middle_?(?:name|initial)|full_?name|sur_?name|given_?name|family_?name|maiden_?name|nick_?name|display_?name|user_?name|login|alias|initials|fname|lname|mname|mothers?_?maiden(?:_?name)?|next_of_kin|emergency_contact|guardian|spouse|contact"), textKinds, "mask", "may be a person's name"},
	{words("notes?|comments?|remarks?|descriptions?|narratives?|memos?|messages?|body|text|free_?text|history|summary|details?|reason|complaints?|findings?|transcript|subject|feedback|answers?|observations?|instructions?|content|contents"), nil, "drop", "free text may name anybody"},
	{words("race|ethnicity|religion|fingerprint_id"), nil, "keep", "not an identifier, but sensitive"},
}

// notJudged marks a text that no rule knows: it is kept, and may hold anything.
const notJudged = "no guess: decide yourself"

// bookkeeping are the times at which software wrote a row, not something that happened to a person.
var bookkeeping = words("created|updated|modified|inserted|changed|deleted|loaded|imported|synced|expires?|expired|valid")

// byKind guesses by the type alone, where the name says nothing.
var byKind = []rule{
	{nil, blobKinds, "drop", "binary content, which cannot be judged by its name"},
	{nil, []schemas.Kind{schemas.KindJSON, schemas.KindJSONB}, "drop", "a document may hold anything"},
}

// byType guesses by Postgres' own name of a type that has no kind of its own.
var byType = map[string]guess{
	"inet": {"drop", "IP address"}, "cidr": {"drop", "IP address"}, "macaddr": {"drop", "hardware address"}, "macaddr8": {"drop", "hardware address"},
	"point": {"drop", "geography below the state"}, "geometry": {"drop", "geography below the state"}, "geography": {"drop", "geography below the state"},
	"xml": {"drop", "a document may hold anything"}, "hstore": {"drop", "a document may hold anything"}, "tsvector": {"drop", "words of free text"},
}

// guessColumn guesses what should happen to a column. Key columns are kept or hashed, so that keys stay distinct.
func guessColumn(c *schemas.Column, key bool) guess {
	g := guessFree(c)
	switch {
	case !key || g.policy == "keep" || g.policy == "hash":
		return g
	case g.why == byKind[0].why:
		return guess{"keep", "key; " + g.why}
	}
	return guess{"hash", "key; " + g.why}
}

func guessFree(c *schemas.Column) guess {
	name := split(c.Name)
	for _, r := range rules {
		if r.words.MatchString(name) && fits(r.kinds, c.Type) {
			return r.guess(c)
		}
	}
	base, _, _ := strings.Cut(strings.TrimSuffix(c.Type.Name, "[]"), "(")
	if g, known := byType[base]; known {
		return g
	}
	for _, r := range byKind {
		if fits(r.kinds, c.Type) {
			return r.guess(c)
		}
	}
	if fits(dateKinds, c.Type) && !bookkeeping.MatchString(name) {
		return rule{policy: "year", why: "a date may identify the person: only its year is no identifier"}.guess(c)
	}
	if fits(plainKinds, c.Type) {
		return guess{policy: "keep"}
	}
	return guess{"keep", notJudged} // also of a kind that no list here has
}

// guess gives the rule's policy where the type can have it, and drop elsewhere.
func (r rule) guess(c *schemas.Column) guess {
	is := c.Type.Kind
	switch {
	case r.policy == "zip3" && is != schemas.KindText:
		return guess{"drop", r.why + ", not a text"}
	case is == schemas.KindBool && r.policy != "keep":
		return guess{"keep", ""} // has_email, is_deceased: a yes or no
	case r.policy == "year" && is == schemas.KindArray:
		return guess{"drop", r.why + ", several in one column"}
	case r.policy == "mask" && (is == schemas.KindArray || is == schemas.KindJSON || is == schemas.KindJSONB):
		return guess{"drop", r.why}
	}
	return guess{r.policy, r.why}
}

func fits(kinds []schemas.Kind, t schemas.Type) bool {
	if kinds == nil {
		return true
	}
	is := t.Kind
	if is == schemas.KindArray && t.Elem != nil {
		is = t.Elem.Kind
	}
	return slices.Contains(kinds, is)
}

// split gives a name's lower-case words: "homePhone2" is home_phone_2, "SSNLast4" is ssn_last_4.
func split(name string) string {
	var b strings.Builder
	var before rune
	all := []rune(name)
	for i, c := range all {
		upper := unicode.IsUpper(c) && (unicode.IsLower(before) || unicode.IsUpper(before) && i+1 < len(all) && unicode.IsLower(all[i+1]))
		digit := unicode.IsDigit(c) != unicode.IsDigit(before) && before != 0
		letter := unicode.IsLetter(c) || unicode.IsDigit(c)
		if (upper || digit || !letter) && b.Len() > 0 && !strings.HasSuffix(b.String(), "_") {
			b.WriteByte('_')
		}
		if letter {
			b.WriteRune(unicode.ToLower(c))
		}
		before = c
	}
	return strings.TrimSuffix(b.String(), "_")
}
