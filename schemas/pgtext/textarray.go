package pgtext

// TextArray walks a one-dimensional array in the text that array_out writes: {1,NULL,"a \"b\""}. The zero value is
// ready for Open, and can be opened again. It allocates nothing once it has grown.
type TextArray struct {
	// rest begins with an element while more is set.
	rest    []byte
	more    bool
	scratch []byte // an element without its quotes and backslashes
}

// Open begins with another text, which must not change while it is walked. flat is false for an array of more than one
// dimension or with bounds in front ([0:1]=), which is not walked.
func (a *TextArray) Open(text []byte) (flat bool, err error) {
	n := len(text)
	if n > 0 && text[0] == '[' {
		return false, nil
	}
	if n < 2 || text[0] != '{' || text[n-1] != '}' {
		return false, ErrMalformed
	}
	a.rest = text[1 : n-1]
	a.more = len(a.rest) > 0
	return !a.more || a.rest[0] != '{', nil
}

// Len counts the elements that are left.
func (a *TextArray) Len() (int, error) {
	if !a.more {
		return 0, nil
	}
	n, quoted := 1, false
	for i := 0; i < len(a.rest); i++ {
		switch c := a.rest[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			n++
		}
	}
	if quoted {
		return 0, ErrMalformed
	}
	return n, nil
}

// Next gives the next element; ok is false after the last one. elem aliases the text or memory of a, and is valid until
// the next call.
func (a *TextArray) Next() (elem []byte, null, ok bool, err error) {
	if !a.more {
		return nil, false, false, nil
	}
	end := 0
	if len(a.rest) > 0 && a.rest[0] == '"' {
		end, err = a.unquote()
		elem = a.scratch
	} else {
		end, err = plainEnd(a.rest)
		elem = a.rest[:end]
		null = string(elem) == "NULL"
	}
	if err != nil {
		return nil, false, false, err
	}
	a.rest = a.rest[end:]
	if a.more = len(a.rest) > 0; a.more {
		if a.rest[0] != ',' {
			return nil, false, false, ErrMalformed
		}
		a.rest = a.rest[1:]
	}
	return elem, null, true, nil
}

// plainEnd is where an element without quotes ends; it is never empty.
func plainEnd(b []byte) (int, error) {
	end := 0
	for end < len(b) && b[end] != ',' {
		if c := b[end]; c == '\\' || c == '"' || c == '{' || c == '}' {
			return 0, ErrMalformed
		}
		end++
	}
	if end == 0 {
		return 0, ErrMalformed
	}
	return end, nil
}

// unquote puts the quoted element at the front of rest into scratch; end is after its closing quote.
func (a *TextArray) unquote() (end int, err error) {
	a.scratch = a.scratch[:0]
	for i := 1; i < len(a.rest); i++ {
		c := a.rest[i]
		if c == '"' {
			return i + 1, nil
		}
		if c == '\\' {
			if i++; i == len(a.rest) {
				break
			}
			c = a.rest[i]
		}
		a.scratch = append(a.scratch, c)
	}
	return 0, ErrMalformed
}
