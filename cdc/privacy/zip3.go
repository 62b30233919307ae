package privacy

import (
	"bytes"
	"cmp"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// areasVersion names the data below in Print: other data is another policy, which needs a new generation.
const areasVersion = "census2020 without small ones of 2000 and 2010"

// populated are the three-digit areas in which the census of 2020 counted more than 20,000 people (P1 of its DHC, by
// ZIP Code Tabulation Area), so that 45 CFR 164.514(b)(2)(i)(B) lets their digits out, without those that an earlier
// census found too small: the rule asks for the current data only, and this is never too little. Whatever is not listed
// is withheld, be it small or an area where the census counts nobody: military mail, post offices, a single company.
const populated = "006-007 009-035 037-054 056-058 060-062 064-089 100-101 103-191 193-201 206-212 214-268 270-310 312-331 " +
	"333-339 341-342 344 346-347 349-352 354-368 370-374 376-398 400-418 420-427 430-458 460-508 510-516 520-528 530-532 " +
	"534-535 537-551 553-554 557-567 570-577 580-588 590-620 622-631 633-641 644-648 650-658 660-662 664-681 683-691 693 " +
	"700-701 703-708 710-714 716-731 734-741 743-752 754-770 773-789 791-816 820 822 824-829 832-838 840-841 843-847 " +
	"850-853 855-857 859-860 863-865 870-871 873-875 877 880-883 891 894-895 897-898 900 902-908 910-928 930-937 939-941 " +
	"943-961 967-968 970-986 988-999"

// open are the areas of populated.
var open = func() (areas [1000]bool) {
	for area := range strings.FieldsSeq(populated) {
		first, last, _ := strings.Cut(area, "-")
		for n := number([]byte(first)); n <= number([]byte(cmp.Or(last, first))); n++ {
			areas[n] = true
		}
	}
	return areas
}()

// zip3 replaces a ZIP code by its first three digits, or by "000" where these may identify people: an area that is not
// open, or a text that is not five digits or five, a hyphen and four. (Nine digits in a row may be a social security
// number.)
func zip3(t schemas.Type) (*transform, error) {
	if t.Kind != schemas.KindText {
		return nil, cdc.Failed("policy zip3 needs a text column, not %s: a number has lost its leading zeros", t.Name).Fix("drop or mask")
	}
	return &transform{"zip3", textType(), "zip3 " + areasVersion, appendZip3}, nil
}

func appendZip3(dst, text []byte, _ int64) ([]byte, error) {
	text = bytes.TrimRight(text, " ") // char(n) is padded
	if !isZip(text) || !open[number(text[:3])] {
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
