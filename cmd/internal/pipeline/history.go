package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/config"
	"dirtbike/schemas"
)

// historyTime is how long Kafka, and then Postgres, may take to answer one question about how far capture is.
const historyTime = 5 * time.Second

// peek reads what capture has stored; nil if no capture has begun.
func peek(ctx context.Context, c *config.Config) (*cdc.State, error) {
	sink, err := newSink(Options{Config: c, Log: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return sink.Peek(ctx)
}

// storedState reads what capture has stored: nil if no capture has begun, and, with a warning, if this login may not
// read the state topic. A Kafka that does not answer is cdc.ErrUnreachable: without the state it is not known which
// history ClickHouse was filled from.
func storedState(ctx context.Context, c *config.Config, log *zap.Logger) (*cdc.State, error) {
	state, err := askState(ctx, c)
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		log.Warn("no right to read the state topic: whether Postgres is the one that was captured, and the hash key the one that was used, is not checked. "+
			"Try: grant Read and Describe on the topic", zap.String("topic", schemas.StateTopic(c.Kafka.Prefix)))
		return nil, nil
	}
	return state, err
}

// askState is peek for as long as a verb waits for it. A login that may not read the topic is
// kerr.TopicAuthorizationFailed.
func askState(ctx context.Context, c *config.Config) (*cdc.State, error) {
	asking, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	state, err := peek(asking, c)
	switch {
	case err == nil || errors.Is(err, kerr.TopicAuthorizationFailed):
		return state, err
	case asking.Err() != nil && !errors.Is(err, cdc.ErrRefused):
		err = fmt.Errorf("no answer within %s (%w)", historyTime, err)
	}
	return nil, unreachable(fmt.Errorf("ask Kafka which history was captured: %w", err), "see that the brokers named in kafka.brokers run")
}

// checkHistory gives the epoch under which capture writes, 0 without a state, and refuses with cdc.ErrGap a source that
// is not the one that the state was written from: positions of a restored Postgres would be compared with those of its
// former history, and called complete. A standby may be late, and is not compared. A Postgres that does not answer is
// cdc.ErrUnreachable.
func checkHistory(ctx context.Context, c *config.Config, state *cdc.State) (epoch uint32, err error) {
	if state == nil {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	conn, err := MonitorLogin(c).Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx) // nothing is open on it
	var standby bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&standby); err != nil {
		return 0, unreachable(fmt.Errorf("ask Postgres whether it is a standby: %w", err), tryPostgres)
	}
	if standby {
		return state.Source.Epoch, nil
	}
	identity, err := newSource(Options{Config: c, Log: zap.NewNop()}, MonitorLogin(c)).Identify(ctx)
	if err != nil {
		return 0, unreachable(fmt.Errorf("ask Postgres which server it is: %w", err), tryPostgres)
	}
	return state.Source.Epoch, capture.CheckHistory(state, identity)
}

// checkFingerprints refuses a hash key other than the one of the topics: every token would be different.
func checkFingerprints(c *config.Config, prints map[string]string, state *cdc.State) error {
	if state == nil {
		return nil
	}
	for id, print := range prints {
		if was, known := state.Source.HashKeys[id]; known && was != print {
			try := "set the former one in privacy.hash.keys"
			if len(c.Privacy.Hash.Keys) == 0 {
				try = "copy " + c.HashKeyFile() + " from where capture runs"
			}
			return cdc.Refused("hash key %s is not the one the topics were written with (fingerprint %s, here %s): nothing was compared", id, was, print).
				Fix("%s", try)
		}
	}
	return nil
}

// keepHashKey refuses to make a key if the topics were written with another one, which is lost or in another place.
func keepHashKey(c *config.Config) error {
	if !c.HashKeyMissing() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), historyTime)
	defer cancel()
	state, err := peek(ctx, c)
	switch {
	case err != nil:
		return cdc.Failed("no hash key %s, and whether the topics were written with one cannot be seen", c.HashKeyFile()).Of(cdc.ErrUnreachable).Because(err).
			Keeps("Nothing was changed").Fix("see that Kafka runs and kafka.brokers is right")
	case state == nil || len(state.Source.HashKeys) == 0:
		return nil
	}
	return cdc.Refused("hash key %s is missing, and the topics were written with one; another key would give other hashes", c.HashKeyFile()).
		Keeps("Nothing was changed").Fix("put the file back from your backup, or where it is lost, dirtbike resnapshot --all, which makes a new one")
}
