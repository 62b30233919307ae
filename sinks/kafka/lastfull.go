package kafka

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lastFull knows where the last full progress record is. A loader that begins without one, because somebody has deleted
// the topic's records or shortened its retention, waits for the next, which an idle capture writes after an hour: so it
// is written at once when the last one is gone.
type lastFull struct {
	sent   *kgo.Record  // the one of the open transaction; nil if that has none
	offset atomic.Int64 // of the last one that was committed, plus 1; 0 if none was
	gone   atomic.Bool
}

// committed notes the end of the transaction.
func (f *lastFull) committed() {
	if f.sent != nil {
		f.offset.Store(f.sent.Offset + 1)
		f.sent = nil
	}
}

// look asks whether the topic still has it. It may be called at any time; what cannot be asked is asked again.
func (f *lastFull) look(ctx context.Context, admin *kadm.Client, topic string) {
	at := f.offset.Load() - 1
	if at < 0 {
		return
	}
	start, err := ownOffset(topic)(admin.ListStartOffsets(ctx, topic))
	if err == nil && start > at {
		f.gone.Store(true)
	}
}
