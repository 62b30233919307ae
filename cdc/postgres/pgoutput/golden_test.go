package pgoutput

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// golden is one recorded stream: the messages as they came, and what each is in words.
type golden struct {
	scenario scenario
	messages [][]byte
	words    []string
}

func goldenPath(name string) string { return filepath.Join("testdata", name+".golden") }

// hexLines writes bytes as lines "hex …" of 32 bytes.
func hexLines(b []byte) string {
	var out strings.Builder
	for chunk := range slices.Chunk(b, 32) {
		fmt.Fprintf(&out, "hex %x\n", chunk)
	}
	return out.String()
}

// load reads a golden; one that is missing fails the test.
func load(t testing.TB, s scenario) golden {
	t.Helper()
	text, err := os.ReadFile(goldenPath(s.name))
	require.NoError(t, err, "a golden is missing. Try: go test ./cdc/postgres/pgoutput -run 'TestRecord/^%s$' -update", s.name)
	g := golden{scenario: s}
	for _, block := range strings.Split(string(text), "\n\n")[1:] {
		var words, digits strings.Builder
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if rest, ok := strings.CutPrefix(line, "hex "); ok {
				digits.WriteString(rest)
			} else {
				words.WriteString(line + "\n")
			}
		}
		message, err := hex.DecodeString(digits.String())
		require.NoError(t, err)
		g.messages, g.words = append(g.messages, message), append(g.words, words.String())
	}
	require.NotEmpty(t, g.messages)
	return g
}

func loadAll(t testing.TB) []golden {
	var all []golden
	for _, s := range scenarios {
		all = append(all, load(t, s))
	}
	return all
}

func (g golden) decoder() *Decoder {
	return &Decoder{Parallel: strings.Contains(g.scenario.name, "parallel")}
}

// each decodes every message of a golden of messages in turn, following the stream's segments.
func (g golden) each(t testing.TB, visit func(i int, b []byte, streaming bool, m Message)) {
	t.Helper()
	d, streaming := g.decoder(), false
	for i, b := range g.messages {
		m, err := d.Decode(b, streaming)
		require.NoError(t, err, "%s, message %d", g.scenario.name, i)
		visit(i, b, streaming, m)
		switch kindOf(m) {
		case KindStreamStart:
			streaming = true
		case KindStreamStop:
			streaming = false
		}
	}
	require.False(t, streaming, "the recording ends inside a stream")
}

// describe writes what each message is.
func (g golden) describe(t testing.TB) []string {
	t.Helper()
	var lines []string
	if g.scenario.frames {
		for _, b := range g.messages {
			f, err := ParseFrame(b)
			require.NoError(t, err)
			lines = append(lines, describeFrame(f))
		}
		return lines
	}
	g.each(t, func(_ int, _ []byte, _ bool, m Message) { lines = append(lines, describe(m)) })
	return lines
}

func describeFrame(f Frame) string {
	return fmt.Sprintf("%s start %s end %s time %s reply %t data %x\n",
		f.Kind, f.WALStart, f.WALEnd, stamp(f.ServerTime), f.ReplyRequested, f.Data)
}

func stamp(t Timestamp) string { return t.Time().Format("2006-01-02T15:04:05.000000Z") }

func describe(m Message) string {
	switch m := m.(type) {
	case *Insert:
		return fmt.Sprintf("%s xid %d relation %d\n", kindOf(m), m.XID, m.RelationOID) + tupleLines("new", m.New)
	case *Update:
		return fmt.Sprintf("%s xid %d relation %d old %s\n", kindOf(m), m.XID, m.RelationOID, oldName(m.OldKind)) +
			tupleLines("old", m.Old) + tupleLines("new", m.New)
	case *Delete:
		return fmt.Sprintf("%s xid %d relation %d old %s\n", kindOf(m), m.XID, m.RelationOID, oldName(m.OldKind)) + tupleLines("old", m.Old)
	case *Relation:
		r := &m.Relation
		lines := fmt.Sprintf("%s xid %d oid %d %q.%q identity %c\n", kindOf(m), m.XID, r.OID, r.Schema, r.Name, r.Identity)
		for _, c := range r.Columns {
			lines += fmt.Sprintf("  column %q key %t type %d modifier %d\n", c.Name, c.Key, c.TypeOID, c.TypeMod)
		}
		return lines
	case *Type:
		return fmt.Sprintf("%s xid %d oid %d %q.%q\n", kindOf(m), m.XID, m.OID, m.Namespace, m.Name)
	case *Truncate:
		return fmt.Sprintf("%s xid %d relations %d cascade %t restart identity %t\n", kindOf(m), m.XID, m.RelationOIDs, m.Cascade, m.RestartIdentity)
	case *LogicalMessage:
		return fmt.Sprintf("%s xid %d lsn %s transactional %t prefix %q content %q\n", kindOf(m), m.XID, m.LSN, m.Transactional, m.Prefix, m.Content)
	default:
		return describeBoundary(m)
	}
}

func describeBoundary(m Message) string {
	switch m := m.(type) {
	case *Begin:
		return fmt.Sprintf("%s lsn %s time %s xid %d\n", kindOf(m), m.FinalLSN, stamp(m.CommitTime), m.XID)
	case *Commit:
		return fmt.Sprintf("%s lsn %s end %s time %s\n", kindOf(m), m.LSN, m.EndLSN, stamp(m.Time))
	case *Origin:
		return fmt.Sprintf("%s lsn %s name %q\n", kindOf(m), m.LSN, m.Name)
	case *StreamStart:
		return fmt.Sprintf("%s xid %d first %t\n", kindOf(m), m.XID, m.First)
	case *StreamStop:
		return fmt.Sprintf("%s\n", kindOf(m))
	case *StreamCommit:
		return fmt.Sprintf("%s xid %d lsn %s end %s time %s\n", kindOf(m), m.XID, m.LSN, m.EndLSN, stamp(m.Time))
	case *StreamAbort:
		return fmt.Sprintf("%s xid %d sub xid %d lsn %s time %s\n", kindOf(m), m.XID, m.SubXID, m.LSN, stamp(m.Time))
	default:
		panic(fmt.Sprintf("describe %T", m))
	}
}

func oldName(k cdc.OldKind) string {
	return map[cdc.OldKind]string{cdc.OldNone: "none", cdc.OldKey: "key", cdc.OldFull: "full"}[k]
}

func tupleLines(name string, tuple cdc.Tuple) string {
	var b strings.Builder
	for i, c := range tuple {
		switch c.Kind {
		case cdc.DatumNull:
			fmt.Fprintf(&b, "  %s %d NULL\n", name, i)
		case cdc.DatumUnchanged:
			fmt.Fprintf(&b, "  %s %d unchanged\n", name, i)
		case cdc.DatumText:
			fmt.Fprintf(&b, "  %s %d text %q\n", name, i, c.Data)
		case cdc.DatumBinary:
			fmt.Fprintf(&b, "  %s %d binary %x\n", name, i, c.Data)
		}
	}
	return b.String()
}

// kindOf is the kind of message that a struct is for.
func kindOf(m Message) Kind {
	return map[string]Kind{
		"*pgoutput.Begin": KindBegin, "*pgoutput.Commit": KindCommit, "*pgoutput.Origin": KindOrigin, "*pgoutput.LogicalMessage": KindMessage,
		"*pgoutput.Relation": KindRelation, "*pgoutput.Type": KindType, "*pgoutput.Insert": KindInsert, "*pgoutput.Update": KindUpdate,
		"*pgoutput.Delete": KindDelete, "*pgoutput.Truncate": KindTruncate, "*pgoutput.StreamStart": KindStreamStart,
		"*pgoutput.StreamStop": KindStreamStop, "*pgoutput.StreamCommit": KindStreamCommit, "*pgoutput.StreamAbort": KindStreamAbort,
	}[fmt.Sprintf("%T", m)]
}
