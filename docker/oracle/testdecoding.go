package oracle

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// decodedLine is one line of test_decoding, taken apart. Lines of a transaction's begin and of messages leave it empty.
type decodedLine struct {
	commit bool            // it ends a transaction; nothing else is set then
	op     Op              // create, update, delete or truncate
	tables []relName       // one, except for TRUNCATE
	old    []decodedColumn // old-key of an UPDATE, all there is of a DELETE
	new    []decodedColumn // INSERT and UPDATE
}

// relName is a table's schema and name, unquoted.
type relName struct{ Schema, Name string }

// String is "schema.name".
func (n relName) String() string { return n.Schema + "." + n.Name }

// decodedColumn is one `name[type]:value`.
type decodedColumn struct {
	name      string
	text      string // unquoted, as the type's output function prints it (a boolean as true or false)
	null      bool
	unchanged bool // unchanged-toast-datum: the value is not in the line
}

// The grammar is that of contrib/test_decoding/test_decoding.c:
//
//	table S.T: INSERT: c[type]:value ...
//	table S.T: UPDATE: [old-key: c[type]:value ... new-tuple:] c[type]:value ...
//	table S.T: DELETE: c[type]:value ... | (no-tuple-data)
//	table S.T, S.U: TRUNCATE: [restart_seqs] [cascade] | (no-flags)
//
// S, T, c are quote_identifier's: bare, or in double quotes with "" for ". A type is format_type's, so it may hold
// blanks, brackets and quoted identifiers. A value is null, unchanged-toast-datum, a bare number or true or false,
// 'text' with ” for ' and nothing else escaped, or B'bits'.
const (
	identifier = `("(?:[^"]|"")+"|[a-z0-9_]+)`
	relation   = identifier + `\.` + identifier
)

var (
	lineStart   = regexp.MustCompile(`^table ((?:` + relation + `, )*` + relation + `): ([A-Z]+):`)
	oneRelation = regexp.MustCompile(relation)
	columnStart = regexp.MustCompile(`^ ` + identifier + `\[(?:[^\[\]"]|\[\]|"(?:[^"]|"")*")+\]:`)
	bareValue   = regexp.MustCompile(`^[^ ']+`)
	truncateEnd = regexp.MustCompile(`^(?: \(no-flags\))?(?: restart_seqs)?(?: cascade)?$`)
)

var decodedOps = map[string]Op{"INSERT": OpCreate, "UPDATE": OpUpdate, "DELETE": OpDelete, "TRUNCATE": OpTruncate}

// parseDecoded takes one line apart. Nothing is skipped: what the grammar does not know is an error.
func parseDecoded(line string) (out decodedLine, err error) {
	if strings.HasPrefix(line, "BEGIN") || strings.HasPrefix(line, "message: ") {
		return out, nil
	}
	if strings.HasPrefix(line, "COMMIT") {
		return decodedLine{commit: true}, nil
	}
	start := lineStart.FindStringSubmatch(line)
	if start == nil {
		return out, fmt.Errorf("oracle: no line of test_decoding: %.200q", line)
	}
	for _, m := range oneRelation.FindAllStringSubmatch(start[1], -1) {
		out.tables = append(out.tables, relName{unquoted(m[1]), unquoted(m[2])})
	}
	p := lineParser{rest: line[len(start[0]):]}
	if out.op = decodedOps[start[len(start)-1]]; out.op == "" {
		err = errors.New("unknown operation")
	} else {
		err = p.body(&out)
	}
	if err != nil {
		return out, fmt.Errorf("oracle: parse test_decoding at byte %d of %.200q: %w", len(line)-len(p.rest), line, err)
	}
	return out, nil
}

// unquoted is an identifier's name.
func unquoted(s string) string {
	if strings.HasPrefix(s, `"`) {
		return strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
	}
	return s
}

// lineParser walks over what follows the operation.
type lineParser struct{ rest string }

// body reads the columns, or a TRUNCATE's options.
func (p *lineParser) body(out *decodedLine) (err error) {
	if out.op == OpTruncate {
		if !truncateEnd.MatchString(p.rest) {
			return errors.New("unknown flags of TRUNCATE")
		}
		return nil
	}
	if len(out.tables) != 1 {
		return errors.New("several tables")
	}
	if out.op == OpDelete || out.op == OpUpdate && p.take(" old-key:") {
		if out.old, err = p.columns(); err != nil {
			return err
		}
		if out.op == OpUpdate && !p.take(" new-tuple:") {
			return errors.New("no new-tuple after old-key")
		}
	}
	if out.op != OpDelete {
		out.new, err = p.columns()
	}
	if err == nil && p.rest != "" {
		err = errors.New("text after the last column")
	}
	return err
}

// take consumes the prefix if it is there.
func (p *lineParser) take(prefix string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, prefix)
	return ok
}

// columns reads ` name[type]:value` as long as there are any; new-tuple ends them.
func (p *lineParser) columns() (out []decodedColumn, err error) {
	if p.take(" (no-tuple-data)") {
		return nil, nil
	}
	for p.rest != "" && !strings.HasPrefix(p.rest, " new-tuple:") {
		start := columnStart.FindStringSubmatch(p.rest)
		if start == nil {
			return nil, errors.New("no column")
		}
		p.rest = p.rest[len(start[0]):]
		c := decodedColumn{name: unquoted(start[1])}
		switch {
		case p.take("unchanged-toast-datum"):
			c.unchanged = true
		case p.take("null"):
			c.null = true
		case p.take("B'"), p.take("'"):
			c.text, err = p.quoted()
		default:
			if c.text = bareValue.FindString(p.rest); c.text == "" {
				err = errors.New("no value")
			}
			p.take(c.text)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// quoted reads up to the closing quote; a doubled one is one quote.
func (p *lineParser) quoted() (string, error) {
	for i := 0; ; i++ {
		n := strings.IndexByte(p.rest[i:], '\'')
		if n < 0 {
			return "", errors.New("no closing quote")
		}
		i += n + 1
		if !strings.HasPrefix(p.rest[i:], "'") {
			text := strings.ReplaceAll(p.rest[:i-1], "''", "'")
			p.rest = p.rest[i:]
			return text, nil
		}
	}
}
