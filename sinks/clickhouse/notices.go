package clickhouse

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"dirtbike/sinks/clickhouse/ledger"
)

// notices tells other processes, through ClickHouse, which tables wait in this loader and which topics have records of
// other writers. It writes beside the loop, at most one INSERT at a time, when something changed and from time to time;
// what cannot be written is written later.
type notices struct {
	ledger *ledger.Ledger
	loader string // unlike that of any other loader
	log    *zap.Logger

	mu      sync.Mutex
	busy    bool
	written map[noticeKey]ledger.Notice
	at      time.Time
}

type noticeKey struct {
	kind ledger.NoticeKind
	name string
}

func newNotices(books *ledger.Ledger, log *zap.Logger) *notices {
	return &notices{ledger: books, loader: uuid.NewString(), log: log, written: map[noticeKey]ledger.Notice{}}
}

// tell says what is so now, and that what was said before and is not among it is over. It never waits.
func (n *notices) tell(ctx context.Context, now []ledger.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy {
		return
	}
	due := time.Since(n.at) >= ledger.NoticeEvery
	said, rows := map[noticeKey]ledger.Notice{}, []ledger.Notice(nil)
	for _, notice := range now {
		notice.Loader, notice.Open, notice.At = n.loader, true, time.Time{}
		key := noticeKey{notice.Kind, notice.Name}
		before, known := n.written[key]
		if said[key] = notice; !known || before != notice && (due || before.Reason != notice.Reason) || due && notice.Kind != ledger.NoticeForeign {
			rows = append(rows, notice)
		} else {
			said[key] = before
		}
	}
	for key, before := range n.written {
		if _, still := said[key]; !still {
			before.Open = false
			rows = append(rows, before)
		}
	}
	if len(rows) == 0 {
		return
	}
	n.busy = true
	go n.write(ctx, rows, said)
}

func (n *notices) write(ctx context.Context, rows []ledger.Notice, said map[noticeKey]ledger.Notice) {
	at := time.Now()
	for i := range rows {
		rows[i].At = at
	}
	err := ledger.Write(ctx, n.ledger, rows...)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy, n.at = false, at
	if err == nil {
		n.written = said
	} else if ctx.Err() == nil {
		n.log.Debug("other processes cannot be told which tables wait", zap.String("error", withoutValues(err)))
	}
}

// notices lists the tables that wait.
func (w *waiting) notices() (list []ledger.Notice) {
	for _, h := range w.tables {
		list = append(list, ledger.Notice{Kind: ledger.NoticeWaits, Name: h.table, Reason: h.reason})
	}
	for _, h := range w.views {
		list = append(list, ledger.Notice{Kind: ledger.NoticeView, Name: h.table, Reason: h.reason})
	}
	return list
}

// notices lists the topics that have records of other writers.
func (p *passedOver) notices() (list []ledger.Notice) {
	for topic, t := range p.topics {
		list = append(list, ledger.Notice{Kind: ledger.NoticeForeign, Name: topic, Reason: t.why, Records: t.all})
	}
	return list
}
