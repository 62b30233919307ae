package capture

import (
	"context"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"dirtbike/cdc"
)

// copyBeside copies tables beside the stream, several at once. Where a copy was asked for, the session is done then.
func (s *session) copyBeside(ctx context.Context, due []*table) error {
	var counting sync.Mutex
	done := 0
	const step = "copying"
	if len(due) > 0 {
		s.report.log.Info("copying tables beside the stream", zap.Int("tables", len(due)))
		s.report.progress(step, 0, len(due))
	}
	group, copying := errgroup.WithContext(ctx)
	group.SetLimit(s.o.SnapshotWorkers)
	for _, t := range due {
		group.Go(func() error {
			if err := s.copyRanges(copying, t); err != nil {
				return err
			}
			counting.Lock()
			defer counting.Unlock()
			done++
			s.report.progress(step, done, len(due))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.report.status.update(func(now *Status) { now.Progress = "" })
	if s.request == nil {
		return nil
	}
	return s.settle(ctx)
}

// settle ends a session whose request is fulfilled, once all of it is durable.
func (s *session) settle(ctx context.Context) error {
	done := make(chan struct{})
	err := s.live.at(ctx, func(f *follower) error {
		p := f.part(f.point)
		p.durable = done
		return f.session.committer.send(ctx, p)
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
		return errDone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// noteStreaming stores that the slot is there and the log is followed.
func (s *session) noteStreaming(ctx context.Context) error {
	s.state.Source.Phase = cdc.PhaseStreaming
	return s.commitNow(ctx, s.state.Source)
}
