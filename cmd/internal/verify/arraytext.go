package verify

// arrayText walks the elements of a one-dimensional array in Postgres' text: {1,NULL,"a \"b\""}.
type arrayText struct {
	rest    []byte // what has not been read; begins with '{' or ',' before an element
	started bool
	null    bool // the element just read is NULL
	err     error
}

// next reads one element into *elem; false at the end or on an error.
func (a *arrayText) next(elem *[]byte) bool {
	if len(a.rest) == 0 {
		a.err = errForm
		return false
	}
	mark := a.rest[0]
	a.rest = a.rest[1:]
	switch {
	case mark == '{' && !a.started:
		a.started = true
		if string(a.rest) == "}" {
			return false
		}
	case mark == '}' && a.started && len(a.rest) == 0:
		return false
	case mark != ',' || !a.started:
		a.err = errForm
		return false
	}
	return a.element(elem)
}

func (a *arrayText) element(elem *[]byte) bool {
	out := (*elem)[:0]
	a.null = false
	if len(a.rest) > 0 && a.rest[0] == '"' {
		return a.quoted(elem)
	}
	for i, c := range a.rest {
		if c == ',' || c == '}' {
			*elem = out
			a.null = string(out) == "NULL"
			a.rest = a.rest[i:]
			return true
		}
		out = append(out, c)
	}
	a.err = errForm
	return false
}

func (a *arrayText) quoted(elem *[]byte) bool {
	out := (*elem)[:0]
	for i := 1; i < len(a.rest); i++ {
		switch c := a.rest[i]; c {
		case '"':
			*elem, a.rest = out, a.rest[i+1:]
			return true
		case '\\':
			if i++; i < len(a.rest) {
				out = append(out, a.rest[i])
			}
		default:
			out = append(out, c)
		}
	}
	a.err = errForm
	return false
}
