package oracle

import (
	"errors"
	"strings"
)

// pgArray is Postgres' text of an array, taken apart.
type pgArray struct {
	elems [][]byte // nil for NULL; none if the array is not plain
	plain bool     // one dimension (or none), counting from 1: an Array can hold it
}

var errArray = errors.New("oracle: Postgres' text of an array does not parse")

// parseArray reads array_out's form: {1,NULL,"a\"b"}, with [0:1]= before it if a bound is not 1.
func parseArray(s string, delim byte) (pgArray, error) {
	a := pgArray{plain: true}
	if strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{{") {
		return pgArray{}, nil
	}
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return a, errArray
	}
	s = s[1 : len(s)-1]
	for more := s != ""; more; {
		var elem []byte
		var err error
		if elem, s, err = nextElement(s, delim); err != nil {
			return a, err
		}
		a.elems = append(a.elems, elem)
		if s, more = strings.CutPrefix(s, string(delim)); !more && s != "" {
			return a, errArray
		}
	}
	return a, nil
}

// nextElement takes one element off the front: quoted with backslashes, or bare up to the delimiter.
func nextElement(s string, delim byte) (elem []byte, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, delim)
		if end < 0 {
			end = len(s)
		}
		if s[:end] == "NULL" {
			return nil, s[end:], nil
		}
		return []byte(s[:end]), s[end:], nil
	}
	elem = []byte{}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return elem, s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		elem = append(elem, s[i])
	}
	return nil, "", errArray
}

// expectBytea turns bytea_output hex into the bytes themselves.
func expectBytea(s string) (cell, error) {
	raw, err := byteaBytes(s)
	return cell{text: raw}, err
}
