package oracle

import (
	"errors"
	"fmt"
	"strings"
)

// decodedOp is the operation of a test_decoding line.
type decodedOp string

// The operations as test_decoding spells them; begin, commit and message lines carry no row.
const (
	decodedInsert   decodedOp = "INSERT"
	decodedUpdate   decodedOp = "UPDATE"
	decodedDelete   decodedOp = "DELETE"
	decodedTruncate decodedOp = "TRUNCATE"
	decodedBegin    decodedOp = "BEGIN"
	decodedCommit   decodedOp = "COMMIT"
	decodedMessage  decodedOp = "message"
)

// decodedLine is one line of test_decoding, taken apart.
type decodedLine struct {
	op     decodedOp
	tables []relName       // one, except for TRUNCATE
	old    []decodedColumn // old-key of an UPDATE, all there is of a DELETE
	new    []decodedColumn // INSERT and UPDATE
}

// relName is a table's schema and name, unquoted.
type relName struct{ schema, name string }

// decodedColumn is one `name[type]:value`.
type decodedColumn struct {
	name, typ string
	text      string // unquoted, as the type's output function prints it (a boolean as true or false)
	null      bool
	unchanged bool // unchanged-toast-datum: the value is not in the line
}

// lineParser walks over one line; the grammar is that of contrib/test_decoding/test_decoding.c:
//
//	table S.T: INSERT: c[type]:value ...
//	table S.T: UPDATE: [old-key: c[type]:value ... new-tuple:] c[type]:value ...
//	table S.T: DELETE: c[type]:value ... | (no-tuple-data)
//	table S.T, S.U: TRUNCATE: [restart_seqs] [cascade] | (no-flags)
//
// S, T, c are quote_identifier's: bare, or in double quotes with "" for ". A type is format_type's, so it may hold
// blanks, brackets and quoted identifiers. A value is null, unchanged-toast-datum, a bare number or true or false,
// 'text' with ” for ' and nothing else escaped, or B'bits'.
type lineParser struct{ rest string }

// parseDecoded takes one line apart. Nothing is skipped: what the grammar does not know is an error.
func parseDecoded(line string) (decodedLine, error) {
	p := lineParser{rest: line}
	var out decodedLine
	switch {
	case strings.HasPrefix(line, "BEGIN"):
		return decodedLine{op: decodedBegin}, nil
	case strings.HasPrefix(line, "COMMIT"):
		return decodedLine{op: decodedCommit}, nil
	case strings.HasPrefix(line, "message: "):
		return decodedLine{op: decodedMessage}, nil
	case !p.take("table "):
		return out, fmt.Errorf("oracle: test_decoding line begins with none of its words: %.40q", line)
	}
	if err := p.line(&out); err != nil {
		return out, fmt.Errorf("oracle: parse test_decoding at byte %d of %.200q: %w", len(line)-len(p.rest), line, err)
	}
	return out, nil
}

// line reads the tables, the operation and its columns.
func (p *lineParser) line(out *decodedLine) error {
	for more := true; more; more = p.take(", ") {
		table, err := p.relation()
		if err != nil {
			return err
		}
		out.tables = append(out.tables, table)
	}
	if !p.take(": ") {
		return errors.New("no colon after the table")
	}
	op, rest, ok := strings.Cut(p.rest, ":")
	if !ok {
		return errors.New("no colon after the operation")
	}
	out.op, p.rest = decodedOp(op), rest
	if out.op != decodedTruncate && len(out.tables) != 1 {
		return errors.New("several tables")
	}
	return p.body(out)
}

// body reads what follows the operation.
func (p *lineParser) body(out *decodedLine) (err error) {
	switch out.op {
	case decodedTruncate:
		return p.flags()
	case decodedInsert:
		out.new, err = p.columns()
	case decodedDelete:
		out.old, err = p.columns()
	case decodedUpdate:
		if p.take(" old-key:") {
			if out.old, err = p.columns(); err != nil {
				return err
			}
			if !p.take(" new-tuple:") {
				return errors.New("no new-tuple after old-key")
			}
		}
		out.new, err = p.columns()
	case decodedBegin, decodedCommit, decodedMessage: // not after a table
		fallthrough
	default:
		return fmt.Errorf("unknown operation %q", out.op)
	}
	if err == nil && p.rest != "" {
		err = errors.New("text after the last column")
	}
	return err
}

// flags reads TRUNCATE's options.
func (p *lineParser) flags() error {
	for _, flag := range []string{" (no-flags)", " restart_seqs", " cascade"} {
		p.take(flag)
	}
	if p.rest != "" {
		return errors.New("unknown flags of TRUNCATE")
	}
	return nil
}

// take consumes the prefix if it is there.
func (p *lineParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	if ok {
		p.rest = rest
	}
	return ok
}

// relation reads schema.name.
func (p *lineParser) relation() (relName, error) {
	schema, err := p.identifier()
	if err != nil {
		return relName{}, err
	}
	if !p.take(".") {
		return relName{}, errors.New("no dot after the schema")
	}
	name, err := p.identifier()
	return relName{schema, name}, err
}

// identifier reads a bare or quoted identifier. A bare one consists of lower-case letters, digits and underscores.
func (p *lineParser) identifier() (string, error) {
	if p.take(`"`) {
		return p.quoted('"')
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	if end <= 0 {
		return "", errors.New("no identifier")
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	return name, nil
}

// quoted reads up to the closing quote; a doubled one is one quote.
func (p *lineParser) quoted(quote byte) (string, error) {
	var out strings.Builder
	for i := 0; i < len(p.rest); i++ {
		if p.rest[i] == quote {
			if i+1 == len(p.rest) || p.rest[i+1] != quote {
				p.rest = p.rest[i+1:]
				return out.String(), nil
			}
			i++
		}
		out.WriteByte(p.rest[i])
	}
	return "", errors.New("no closing quote")
}

// columns reads ` name[type]:value` as long as there are any; new-tuple ends them.
func (p *lineParser) columns() ([]decodedColumn, error) {
	if p.take(" (no-tuple-data)") {
		return nil, nil
	}
	var out []decodedColumn
	for strings.HasPrefix(p.rest, " ") && !strings.HasPrefix(p.rest, " new-tuple:") {
		p.rest = p.rest[1:]
		c, err := p.column()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// column reads name[type]:value.
func (p *lineParser) column() (c decodedColumn, err error) {
	if c.name, err = p.identifier(); err != nil {
		return c, err
	}
	if c.typ, err = p.typeName(); err != nil {
		return c, err
	}
	if !p.take(":") {
		return c, errors.New("no colon after the type")
	}
	switch {
	case p.take("unchanged-toast-datum"):
		c.unchanged = true
	case p.take("null"):
		c.null = true
	case p.take("B'"), p.take("'"):
		c.text, err = p.quoted('\'')
	default:
		c.text, err = p.bare()
	}
	return c, err
}

// typeName reads [type]: brackets nest (integer[]), quoted identifiers may hold any.
func (p *lineParser) typeName() (string, error) {
	depth, quoted := 0, false
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[':
			depth++
		case c == ']':
			depth--
		}
		if depth == 0 {
			name := p.rest[:i]
			p.rest = p.rest[i+1:]
			if name == "" {
				break
			}
			return name[1:], nil
		}
	}
	return "", errors.New("no type in brackets")
}

// bare reads a number or a boolean, which end at a blank.
func (p *lineParser) bare() (string, error) {
	end := strings.IndexByte(p.rest, ' ')
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		return "", errors.New("no value")
	}
	text := p.rest[:end]
	p.rest = p.rest[end:]
	return text, nil
}
