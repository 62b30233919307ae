package pgoutput

import (
	"bytes"
	"testing"
)

// FuzzDecode: nothing panics, and what decodes is exactly one message: a byte less or more is an error.
func FuzzDecode(f *testing.F) {
	for _, g := range messageGoldens(f) {
		parallel := g.decoder().Parallel
		g.each(f, func(_ int, b []byte, streaming bool, _ Message) { f.Add(b, streaming, parallel) })
	}
	f.Fuzz(func(t *testing.T, b []byte, streaming, parallel bool) {
		d := &Decoder{Parallel: parallel}
		m, err := d.Decode(b, streaming)
		if err != nil {
			if m != nil {
				t.Fatal("a message together with an error")
			}
			return
		}
		if kindOf(m) != Kind(b[0]) {
			t.Fatalf("%s decoded as %s", Kind(b[0]), kindOf(m))
		}
		words := describe(m)
		if _, err := d.Decode(b[:len(b)-1], streaming); err == nil {
			t.Fatal("one byte less decodes, too")
		}
		if _, err := d.Decode(append(bytes.Clone(b), 0), streaming); err == nil {
			t.Fatal("one byte more decodes, too")
		}
		again, err := d.Decode(b, streaming)
		if err != nil || describe(again) != words {
			t.Fatal("the second time it is another message")
		}
	})
}

// FuzzParseFrame: nothing panics, and header and data together are the whole input.
func FuzzParseFrame(f *testing.F) {
	for _, g := range loadAll(f) {
		if g.scenario.frames {
			for _, b := range g.messages {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := ParseFrame(b)
		if err != nil {
			return
		}
		header := map[FrameKind]int{FrameXLogData: 25, FrameKeepalive: 18}[frame.Kind]
		if header+len(frame.Data) != len(b) {
			t.Fatalf("%s: %d bytes of header and %d of data in %d", frame.Kind, header, len(frame.Data), len(b))
		}
	})
}
