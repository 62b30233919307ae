package avro

import "dirtbike/schemas/pgtext"

// arrayText compiles the appender of an array from its text. Bounds in front ([0:1]=) and more than one dimension are
// inexact.
func arrayText(elem appender) appender {
	var array pgtext.TextArray
	return func(dst, src []byte) ([]byte, error) {
		flat, err := array.Open(src)
		if err != nil {
			return dst, err
		}
		if !flat {
			return dst, errInexact
		}
		count, err := array.Len()
		if err != nil {
			return dst, err
		}
		if count > 0 {
			dst = appendLong(dst, int64(count))
		}
		for {
			text, null, ok, err := array.Next()
			if err != nil {
				return dst, err
			}
			if !ok {
				return append(dst, 0), nil
			}
			if null {
				dst = append(dst, branchNull)
			} else if dst, err = elem(append(dst, branchValue), text); err != nil {
				return dst, err
			}
		}
	}
}

// arrayBinary compiles the appender of an array from its binary form.
func arrayBinary(elem form) appender {
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
			} else if dst, err = elem.fromBinary(append(dst, branchValue), value); err != nil {
				return dst, err
			}
		}
		return append(dst, 0), a.End()
	}
}
