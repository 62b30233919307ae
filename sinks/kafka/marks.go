package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
)

// A transaction ends with a mark in each partition that it has written to. Apache Kafka holds a mark to the topic's
// max.message.bytes as any record, and where it does not fit never tries again: the transaction then stays open, with
// the marks of all its other partitions written, until the broker that coordinates it has been restarted, and nobody
// gets its transactional id (seen on 4.1). So a topic is looked at before it joins a transaction.

const (
	// leastMessageBytes is what a topic must take so that transactions can end in it: a mark has 78 bytes.
	leastMessageBytes = 128
	// lookEvery is how often a topic that is written to is looked at.
	lookEvery = time.Second
	// fenceTime is how long a takeover waits until it asks what keeps the last transaction from its end.
	fenceTime = 10 * time.Second
)

// takeMarks looks at those topics of a slab that have not been looked at for long, and gives a record of one in which
// no transaction could end. What cannot be seen is not compared.
func (a *topicAdmin) takeMarks(ctx context.Context, b *slab) (*kgo.Record, error) {
	var names []string
	now := time.Now()
	for _, l := range b.last {
		if now.Sub(l.topic.looked) >= lookEvery {
			l.topic.looked = now
			names = append(names, l.record.Topic)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	small := a.withoutRoomForMarks(ctx, names)
	for _, l := range b.last {
		if most, is := small[l.record.Topic]; is {
			return l.record, wrongSetting(l.record.Topic, messageBytes, strconv.Itoa(int(a.options.MaxMessageBytes)),
				"its %s is %d: Kafka could not write the mark that ends a transaction", messageBytes, most)
		}
	}
	return nil, nil
}

// withoutRoomForMarks gives those of the topics in which no transaction can end, with what they take.
func (a *topicAdmin) withoutRoomForMarks(ctx context.Context, names []string) map[string]int64 {
	small := map[string]int64{}
	configs, err := a.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return small
	}
	for _, c := range configs {
		if most, known := number(c.Configs, messageBytes); c.Err == nil && known && most < leastMessageBytes {
			small[c.Name] = most
		}
	}
	return small
}

// stuck says why a takeover waits for the end of a transaction, as far as Kafka says it; else it is err.
func (a *topicAdmin) stuck(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	described, asked := a.adm.DescribeTransactions(ctx, a.options.TransactionalID)
	open, known := described[a.options.TransactionalID]
	if asked != nil || !known || open.Err != nil || !strings.HasPrefix(open.State, "Prepare") {
		return err
	}
	names := open.Topics.Topics()
	slices.Sort(names)
	problem := cdc.Failed("Kafka cannot end the last transaction of %q, which has written to %s", a.options.TransactionalID, cdc.Few(names)).Because(err).
		Keeps("What is committed is safe, Postgres keeps the log for the slot, and capture goes on by itself")
	small := a.withoutRoomForMarks(ctx, names)
	if len(small) == 0 {
		return problem.Fix("look at the brokers: kafka-transactions.sh describe --transactional-id %s", cdc.ShellWord(a.options.TransactionalID)).
			Fix("restart broker %d, which coordinates it", open.Coordinator)
	}
	var raise []string
	for _, name := range names {
		if most, is := small[name]; is {
			problem.What += fmt.Sprintf(": topic %s has %s=%d, too little for the mark that ends one", name, messageBytes, most)
			raise = append(raise, fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s=%d", name, messageBytes, a.options.MaxMessageBytes))
		}
	}
	return problem.Fix("%s; then restart broker %d, which coordinates the transaction", strings.Join(raise, "; "), open.Coordinator)
}
