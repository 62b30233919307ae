package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres/pgoutput"
)

// statusInterval is how often the standby status is repeated; well below wal_sender_timeout's default of 60 s.
const statusInterval = 5 * time.Second

// slotWait is how long Stream waits for a slot that another connection holds: after a crash Postgres notices within
// wal_sender_timeout.
const slotWait = 75 * time.Second

// Stream implements cdc.Source.
func (s *Source) Stream(ctx context.Context, from cdc.LSN, binaryForm bool) (cdc.Stream, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, time.Second
	return backoff.Retry(ctx, func() (cdc.Stream, error) {
		st, err := s.startStream(ctx, from, binaryForm)
		var said *pgconn.PgError
		switch {
		case errors.As(err, &said) && said.Code == codeInUse:
			s.options.Log.Info("the slot is still held by another connection; waiting", zap.String("slot", s.options.Slot))
		case err != nil:
			return nil, backoff.Permanent(err)
		}
		return st, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(slotWait))
}

func (s *Source) startStream(ctx context.Context, from cdc.LSN, binaryForm bool) (cdc.Stream, error) {
	conn, err := s.options.Login.connectReplication(ctx)
	if err != nil {
		return nil, err
	}
	// streaming stays off: a transaction arrives after its commit, whole, and its size is bounded by chunks on our side
	publication := strings.ReplaceAll(quote(s.options.Publication), "'", "''") // an identifier inside the option's literal
	arguments := []string{"proto_version '1'", "publication_names '" + publication + "'", "messages 'true'"}
	if binaryForm {
		arguments = append(arguments, "binary 'true'")
	}
	err = pglogrepl.StartReplication(ctx, conn, s.options.Slot, pglogrepl.LSN(from), pglogrepl.StartReplicationOptions{PluginArgs: arguments})
	if err != nil {
		_ = conn.Close(ctx) // the error that matters is the other one
		return nil, fmt.Errorf("START_REPLICATION: %w", err)
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over the replication connection: %w", err)
	}
	st := &stream{conn: hijacked.Conn, frontend: hijacked.Frontend, stop: make(chan struct{})}
	st.reported.Store(uint64(from))
	go st.status()
	return st, nil
}

// stream implements cdc.Stream. One goroutine reads; standby status is written by Report's caller and by the status
// goroutine, under a lock of its own: the two directions of the connection are independent.
type stream struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	decoder  pgoutput.Events
	event    cdc.Event
	reported atomic.Uint64
	asked    atomic.Bool // for a keepalive that has not come yet
	stop     chan struct{}
	once     sync.Once
	write    struct {
		sync.Mutex
		buf    []byte
		failed error
	}
	// deadline guards the read deadline: a Wake that comes while Next is not reading must not be lost.
	deadline struct {
		sync.Mutex
		woken bool
	}
}

var _ cdc.Stream = (*stream)(nil)

// Next implements cdc.Stream. It allocates nothing for rows.
func (s *stream) Next(ctx context.Context) (*cdc.Event, error) {
	for {
		message, err := s.frontend.Receive()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && s.awake() {
				s.event = cdc.Event{Kind: cdc.EventWake}
				return &s.event, ctx.Err()
			}
			return nil, fmt.Errorf("replication connection: %w", err)
		}
		switch m := message.(type) {
		case *pgproto3.CopyData:
			ok, reply, err := s.decoder.Decode(m.Data, &s.event)
			if err != nil {
				return nil, err
			}
			if reply {
				_ = s.sendStatus(false) // the next read says what is wrong with the connection
			}
			if ok {
				if s.event.Kind == cdc.EventKeepalive {
					s.asked.Store(false)
				}
				return &s.event, nil
			}
		case *pgproto3.ErrorResponse:
			return nil, s.refused(m)
		case *pgproto3.CopyDone, *pgproto3.CommandComplete:
			return nil, errors.New("replication: the server ended the stream (it is shutting down, or was promoted)")
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return nil, fmt.Errorf("replication: unexpected message %T", m)
		}
	}
}

// refused turns an error of the server into one line. Before Postgres 18 the server cannot decode what was logged while
// the publication did not exist, even if it has been created again since.
func (s *stream) refused(m *pgproto3.ErrorResponse) error {
	says := "replication: " + ServerError(m.Code, m.Message)
	if m.Code != codeUndefined {
		return errors.New(says)
	}
	return cdc.Gap("%s: what it names was dropped, and changes after %s cannot be read any more, even if it was made again", says, cdc.LSN(s.reported.Load())).
		Keeps("Everything up to there is in Kafka").Fix(cdc.ResnapshotAllCommand)
}

// awake reports whether Wake was called, and then removes the read deadline that it has set.
func (s *stream) awake() bool {
	s.deadline.Lock()
	defer s.deadline.Unlock()
	woken := s.deadline.woken
	s.deadline.woken = false
	return woken && s.conn.SetReadDeadline(time.Time{}) == nil
}

// Wake implements cdc.Stream.
func (s *stream) Wake() {
	s.deadline.Lock()
	defer s.deadline.Unlock()
	if !s.deadline.woken {
		s.deadline.woken = s.conn.SetReadDeadline(time.Unix(1, 0)) == nil
	}
}

// Report implements cdc.Stream.
func (s *stream) Report(d cdc.Durable) {
	for lsn := uint64(d.Point().Reported); ; {
		was := s.reported.Load()
		if was >= lsn || s.reported.CompareAndSwap(was, lsn) {
			break
		}
	}
	_ = s.sendStatus(false) // a broken connection is Next's to report
}

// Nudge implements cdc.Stream. At most one request is unanswered: a walsender that is decoding does not read, and
// unread requests would fill its host's buffer until the connection counts as broken (deadPeer).
func (s *stream) Nudge() error {
	if s.asked.Swap(true) {
		return nil
	}
	return s.sendStatus(true)
}

// status repeats the standby status until Close.
func (s *stream) status() {
	ticker := time.NewTicker(statusInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			_ = s.sendStatus(false) // a broken connection is Next's to report
		}
	}
}

// sendStatus writes one Standby Status Update: what is durable is written, flushed and applied, and nothing more.
func (s *stream) sendStatus(reply bool) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.write.failed != nil {
		return s.write.failed // part of a message may be out: nothing can follow it
	}
	lsn := s.reported.Load()
	b := append(s.write.buf[:0], 'd', 0, 0, 0, 4+34, 'r')
	for range 3 {
		b = binary.BigEndian.AppendUint64(b, lsn)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMicro()-epoch2000)) //nolint:gosec // after 2000
	b = append(b, 0)
	if reply {
		b[len(b)-1] = 1
	}
	s.write.buf = b
	err := s.conn.SetWriteDeadline(time.Now().Add(statusInterval * 2))
	if err == nil {
		_, err = s.conn.Write(b)
	}
	if err == nil {
		return nil
	}
	s.write.failed = fmt.Errorf("standby status: %w", err)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = s.conn.Close() // it does not read: Next must not wait for it. After other errors Next may still read its reason
	}
	return s.write.failed
}

// epoch2000 is Postgres' epoch in microseconds since 1970.
const epoch2000 = 946_684_800_000_000

// Close implements cdc.Stream. Postgres frees the slot when it sees the connection end.
func (s *stream) Close(context.Context) error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		s.write.Lock()
		defer s.write.Unlock()
		_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = s.conn.Write([]byte{'c', 0, 0, 0, 4, 'X', 0, 0, 0, 4}) // CopyDone and Terminate: politeness only
		err = s.conn.Close()
	})
	return err
}
