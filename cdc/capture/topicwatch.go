package capture

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"dirtbike/cdc"
)

// topicWatch asks, in the background, whether the tables' topics still fit: somebody may change a clean-up policy, a
// limit or the partitions, or delete the topic of a table that has no changes, and records would be lost before anyone
// knew. Of tables that wait it asks, too, so that they go on as soon as their topic was put right.
type topicWatch struct {
	o      *Options
	topics []*cdc.Topic
	found  atomic.Pointer[map[string]error] // the newest finding, until the follower takes it
}

func (s *session) newTopicWatch() *topicWatch {
	w := &topicWatch{o: s.o}
	for _, t := range s.tables {
		if !t.quarantined() || t.waiting() && t.listed.Topic != nil {
			w.topics = append(w.topics, t.listed.Topic)
		}
	}
	return w
}

// start asks every interval, until done is called; found is called when there is something to take.
func (w *topicWatch) start(ctx context.Context, found func()) (done func()) {
	return every(ctx, w.o.TopicInterval, func(ctx context.Context, _ time.Time) {
		asking, cancel := context.WithTimeout(ctx, w.o.TopicInterval)
		defer cancel()
		unfit, err := w.o.Sink.Unfit(asking, w.topics)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			w.o.Log.Debug("cannot ask for the topics; it is tried again", zap.Error(err))
		default:
			w.found.Store(&unfit)
			found()
		}
	})
}

// unfitTopics makes the tables wait whose topics do not fit any more. A topic that is gone is made again, and its table
// copied, by another session.
func (f *follower) unfitTopics() error {
	found := f.topics.found.Swap(nil)
	if found == nil {
		return nil
	}
	for _, t := range f.session.tables {
		if t.quarantined() && !t.waiting() || t.listed.Topic == nil {
			continue
		}
		topic := t.listed.Topic.Name
		why := (*found)[topic]
		switch {
		case t.waiting():
			if f.session.retries.looked(t.name(), topic, why) {
				return errTryAgain
			}
		case why == nil:
		case cdc.OfOneTable(why) == nil:
			return errTryAgain
		default:
			f.session.retries.looked(t.name(), topic, why)
			if err := f.quarantine(t, why); err != nil {
				return err
			}
		}
	}
	return nil
}
