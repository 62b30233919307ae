package privacy

import (
	"bytes"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// restrictedVersion names the data below in Print: other data is another policy, which needs a new generation.
const restrictedVersion = "census2000+2010"

// The three-digit areas of at most 20,000 people, whose digits 45 CFR 164.514(b)(2)(i)(B) does not let out.
var (
	restricted2000 = []string{"036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890", "893"}
	restricted2010 = []string{"036", "059", "102", "203", "205", "369", "556", "692", "821", "823", "878", "879", "884", "893"}
)

// restricted is the union of both lists: an area that either census found too small is withheld. The rule asks for the
// current data only; the union costs the digits of a few more areas and is never too little.
var restricted = func() (areas [1000]bool) {
	for _, list := range [][]string{restricted2000, restricted2010} {
		for _, area := range list {
			areas[number([]byte(area))] = true
		}
	}
	return areas
}()

// zip3 replaces a ZIP code by its first three digits, or by "000" where these would identify people: a restricted area,
// or a text that is not five digits or five, a hyphen and four. (Nine digits in a row may be a social security number.)
func zip3(t schemas.Type) (*transform, error) {
	if t.Kind != schemas.KindText {
		return nil, cdc.Failed("policy zip3 needs a text column, not %s: a number has lost its leading zeros", t.Name).Fix("drop or mask")
	}
	return &transform{"zip3", textType(), "zip3 " + restrictedVersion, appendZip3}, nil
}

func appendZip3(dst, text []byte, _ int64) ([]byte, error) {
	text = bytes.TrimRight(text, " ") // char(n) is padded
	if !isZip(text) || restricted[number(text[:3])] {
		return append(dst, "000"...), nil
	}
	return append(dst, text[:3]...), nil
}

func isZip(text []byte) bool {
	switch len(text) {
	case 5:
		return digits(text)
	case 10:
		return digits(text[:5]) && text[5] == '-' && digits(text[6:])
	}
	return false
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// number reads three digits.
func number(b []byte) int { return int(b[0]-'0')*100 + int(b[1]-'0')*10 + int(b[2]-'0') }
