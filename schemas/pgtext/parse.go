package pgtext

import "math"

// ParseDate reads what AppendDate writes: days since 2000-01-01, the extremes for the infinities.
func ParseDate(text []byte) (int32, error) {
	switch string(text) {
	case "infinity":
		return math.MaxInt32, nil
	case "-infinity":
		return math.MinInt32, nil
	}
	text, bc := cutEra(text)
	days, rest, ok := cutCivil(text, bc)
	if !ok || len(rest) != 0 || days <= math.MinInt32 || days >= math.MaxInt32 {
		return 0, ErrMalformed
	}
	return int32(days), nil
}

// ParseTimestamp reads what AppendTimestamp writes, with or without a zone offset (±hh, ±hh:mm or ±hh:mm:ss):
// microseconds since 2000-01-01 00:00 UTC, the extremes for the infinities.
func ParseTimestamp(text []byte) (int64, error) {
	switch string(text) {
	case "infinity":
		return math.MaxInt64, nil
	case "-infinity":
		return math.MinInt64, nil
	}
	text, bc := cutEra(text)
	days, rest, ok := cutCivil(text, bc)
	if !ok || len(rest) == 0 || rest[0] != ' ' || days < -maxDays || days > maxDays {
		return 0, ErrMalformed
	}
	clock, rest, ok := cutClock(rest[1:])
	if !ok {
		return 0, ErrMalformed
	}
	offset, ok := parseZone(rest)
	if !ok {
		return 0, ErrMalformed
	}
	return days*microsPerDay + clock - offset, nil
}

// maxDays keeps days·microsPerDay and a day more inside int64; Postgres' own limits are inside.
const maxDays = math.MaxInt64/microsPerDay - 2

func cutEra(text []byte) (rest []byte, bc bool) {
	if n := len(text) - 3; n > 0 && string(text[n:]) == " BC" {
		return text[:n], true
	}
	return text, false
}

// cutCivil reads year-month-day off the front, as days since 2000-01-01.
func cutCivil(text []byte, bc bool) (days int64, rest []byte, ok bool) {
	var year int64
	i := 0
	for ; i < len(text) && isDigit(text[i]) && i < 8; i++ {
		year = year*10 + int64(text[i]-'0')
	}
	if i < 4 || len(text) < i+6 || text[i] != '-' || text[i+3] != '-' {
		return 0, nil, false
	}
	month, ok1 := two(text[i+1:])
	day, ok2 := two(text[i+4:])
	if !ok1 || !ok2 || month < 1 || month > 12 || day < 1 || day > 31 || year == 0 {
		return 0, nil, false
	}
	if bc {
		year = 1 - year
	}
	return daysFromCivil(year, month, day) - EpochDays, text[i+6:], true
}

// cutClock reads hh:mm:ss and up to six digits of fraction off the front, as microseconds.
func cutClock(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) < 8 || text[2] != ':' || text[5] != ':' {
		return 0, nil, false
	}
	hour, ok1 := two(text)
	minute, ok2 := two(text[3:])
	second, ok3 := two(text[6:])
	if !ok1 || !ok2 || !ok3 || hour > 24 || minute > 59 || second > 60 {
		return 0, nil, false
	}
	micros = (hour*3600 + minute*60 + second) * microsPerSecond
	rest = text[8:]
	if len(rest) == 0 || rest[0] != '.' {
		return micros, rest, true
	}
	i, digit := 1, int64(100_000)
	for ; i < len(rest) && isDigit(rest[i]) && digit > 0; i, digit = i+1, digit/10 {
		micros += int64(rest[i]-'0') * digit
	}
	return micros, rest[i:], i > 1
}

// parseZone reads ±hh, ±hh:mm or ±hh:mm:ss, as microseconds; nothing at all is UTC.
func parseZone(text []byte) (micros int64, ok bool) {
	if len(text) == 0 {
		return 0, true
	}
	negative := text[0] == '-'
	if !negative && text[0] != '+' {
		return 0, false
	}
	var seconds int64
	text = text[1:]
	for unit := int64(3600); ; unit /= 60 {
		n, ok := two(text)
		if !ok || unit == 0 {
			return 0, false
		}
		seconds, text = seconds+n*unit, text[2:]
		if len(text) == 0 {
			break
		}
		if text[0] != ':' {
			return 0, false
		}
		text = text[1:]
	}
	if negative {
		seconds = -seconds
	}
	return seconds * microsPerSecond, true
}

func two(b []byte) (int64, bool) {
	if len(b) < 2 || !isDigit(b[0]) || !isDigit(b[1]) {
		return 0, false
	}
	return int64(b[0]-'0')*10 + int64(b[1]-'0'), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
