package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// printsTime is how long Kafka may take to say which hash keys the topics were written with.
const printsTime = 5 * time.Second

// checkPrints refuses a hash key that is not the one that capture wrote the topics with: every token would look different. A Kafka
// that does not say so in time costs only the check, since whoever compares needs no Kafka else.
func checkPrints(ctx context.Context, c *config.Config, log *zap.Logger, prints map[string]string) error {
	if len(prints) == 0 {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, printsTime)
	defer cancel()
	stored, err := writtenPrints(asking, c)
	if err != nil {
		log.Warn("could not read from Kafka's state topic which hash key the topics were written with: if it is another one, every hashed column looks different. Try: look at the brokers named in kafka.brokers, and at the right to read the topic",
			zap.String("topic", schemas.StateTopic(c.Kafka.Prefix)), zap.Error(err))
		return nil
	}
	return comparePrints(c, prints, stored)
}

func comparePrints(c *config.Config, prints, stored map[string]string) error {
	for id, print := range prints {
		if was, known := stored[id]; known && was != print {
			try := "set the former one in privacy.hash.keys"
			if len(c.Privacy.Hash.Keys) == 0 {
				try = "copy " + c.HashKeyFile() + " from where capture runs"
			}
			return fmt.Errorf("%w: hash key %s is not the one the topics were written with (fingerprint %s, here %s): nothing was compared. Try: %s", cdc.ErrRefused, id, was, print, try)
		}
	}
	return nil
}

// writtenPrints reads the fingerprints, by key id, from the source record of the state topic; ARCHITECTURE.md, "Formats". None where
// no capture has begun.
func writtenPrints(ctx context.Context, c *config.Config) (map[string]string, error) {
	client, err := KafkaClient(c)
	if err != nil {
		return nil, err
	}
	topic := schemas.StateTopic(c.Kafka.Prefix)
	kafka, err := kgo.NewClient(append(client, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	ends, err := kadm.NewClient(kafka).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	end, known := ends.Lookup(topic, 0)
	if !known || end.Err != nil {
		return nil, errors.Join(end.Err, ends.Error())
	}
	return readPrints(ctx, kafka, end.Offset)
}

// readPrints reads the only partition up to end, which is that of a transaction's control record.
func readPrints(ctx context.Context, kafka *kgo.Client, end int64) (prints map[string]string, err error) {
	for next := int64(0); next < end; {
		fetches := kafka.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if r.Attrs.IsControl() || string(r.Key) != "source" {
				return
			}
			var source struct {
				HashKeys map[string]string `json:"hash_keys"`
			}
			err = errors.Join(err, json.Unmarshal(r.Value, &source))
			prints = source.HashKeys
		})
	}
	return prints, err
}
