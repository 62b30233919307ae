package avro

import "dirtbike/schemas/pgtext"

// arrayText compiles the appender of an array from array_out's text: {1,NULL,"a \"b\""}. Bounds in front ([0:1]=) and more
// than one dimension are inexact.
func arrayText(elem appender) appender {
	var scratch []byte // an element without its quotes and backslashes
	return func(dst, src []byte) ([]byte, error) {
		n := len(src)
		if n > 0 && src[0] == '[' {
			return dst, errInexact
		}
		if n < 2 || src[0] != '{' || src[n-1] != '}' {
			return dst, errMalformed
		}
		body := src[1 : n-1]
		if len(body) == 0 {
			return append(dst, 0), nil
		}
		if body[0] == '{' {
			return dst, errInexact
		}
		count, err := countElements(body)
		if err != nil {
			return dst, err
		}
		dst = appendLong(dst, count)
		for more := true; more; {
			var e element
			if e, scratch, body, more, err = nextElement(scratch, body); err != nil {
				return dst, err
			}
			if e.null {
				dst = append(dst, branchNull)
			} else if dst, err = elem(append(dst, branchValue), e.text); err != nil {
				return dst, err
			}
		}
		return append(dst, 0), nil
	}
}

// countElements counts the commas outside quotes, and one.
func countElements(body []byte) (int64, error) {
	n, quoted := int64(1), false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			n++
		}
	}
	if quoted {
		return 0, errMalformed
	}
	return n, nil
}

// element is one element's text; it aliases the array's text or the scratch buffer.
type element struct {
	text []byte
	null bool
}

// nextElement takes one element and the comma behind it off the front.
func nextElement(scratch, body []byte) (e element, newScratch, rest []byte, more bool, err error) {
	if len(body) == 0 {
		return e, scratch, nil, false, errMalformed
	}
	end := 0
	if body[0] == '"' {
		if scratch, end, err = unquote(scratch[:0], body); err != nil {
			return e, scratch, nil, false, err
		}
		e.text = scratch
	} else {
		for end < len(body) && body[end] != ',' {
			if c := body[end]; c == '\\' || c == '"' || c == '{' || c == '}' {
				return e, scratch, nil, false, errMalformed
			}
			end++
		}
		e.text = body[:end]
		e.null = string(e.text) == "NULL"
	}
	if end == len(body) {
		return e, scratch, nil, false, nil
	}
	if body[end] != ',' {
		return e, scratch, nil, false, errMalformed
	}
	return e, scratch, body[end+1:], true, nil
}

// unquote reads a quoted element at the front of body; end is behind its closing quote.
func unquote(scratch, body []byte) (text []byte, end int, err error) {
	for i := 1; i < len(body); i++ {
		c := body[i]
		if c == '"' {
			return scratch, i + 1, nil
		}
		if c == '\\' {
			if i++; i == len(body) {
				break
			}
			c = body[i]
		}
		scratch = append(scratch, c)
	}
	return scratch, 0, errMalformed
}

// arrayBinary compiles the appender of an array from its binary form.
func arrayBinary(elem appender) appender {
	return func(dst, src []byte) ([]byte, error) {
		a, err := pgtext.ParseArray(src)
		if err != nil {
			return dst, err
		}
		if a.Len() == 0 {
			return append(dst, 0), a.End()
		}
		if a.Dimensions > 1 || a.Lower(0) != 1 {
			return dst, errInexact
		}
		dst = appendLong(dst, int64(a.Len()))
		for range a.Len() {
			value, null, err := a.Next()
			if err != nil {
				return dst, err
			}
			if null {
				dst = append(dst, branchNull)
			} else if dst, err = elem(append(dst, branchValue), value); err != nil {
				return dst, err
			}
		}
		return append(dst, 0), a.End()
	}
}
