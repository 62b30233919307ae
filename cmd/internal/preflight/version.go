package preflight

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// requests are what a broker must know: topics have ids since Metadata v10, and load remembers its place by them; with
// InitProducerID v3 a capture goes on under its id.
var requests = []struct {
	key   kmsg.Key
	least int16
	since string // the release of Apache Kafka
}{{kmsg.Metadata, 10, "2.8"}, {kmsg.InitProducerID, 3, "2.5"}}

// judgeVersion asks each broker.
func (r *run) judgeVersion(ctx context.Context, p *part, k *cluster) {
	versions, err := k.admin.ApiVersions(ctx)
	if err != nil {
		p.error("kafka-version", r.where(partKafka), fmt.Errorf("ask the brokers for their versions: %w", err))
		return
	}
	good := 0
	for _, broker := range versions.Sorted() {
		subject := fmt.Sprintf("broker %d", broker.NodeID)
		lacks := missingRequests(&broker)
		switch {
		case broker.Err != nil:
			p.warn("kafka-version", subject, "", "it does not say what it knows: %v", broker.Err)
		case len(lacks) > 0:
			p.fail("kafka-version", subject, "", "it knows %s; dirtbike needs 2.8 or newer. Upgrade the brokers", strings.Join(lacks, " and "))
		default:
			good++
		}
	}
	if good > 0 && !p.any(func(c Check) bool { return c.Slug == "kafka-version" && !c.OK }) {
		p.ok("kafka-version", "brokers", "they know what dirtbike needs of Kafka 2.8")
	}
}

// missingRequests says which requests the broker does not know, or only in too old a version.
func missingRequests(broker *kadm.BrokerApiVersions) (lacks []string) {
	for _, r := range requests {
		switch has, known := broker.KeyMaxVersion(r.key.Int16()); {
		case !known:
			lacks = append(lacks, fmt.Sprintf("no %s (v%d, of Kafka %s, is needed)", r.key.Name(), r.least, r.since))
		case has < r.least:
			lacks = append(lacks, fmt.Sprintf("%s only up to v%d (v%d, of Kafka %s, is needed)", r.key.Name(), has, r.least, r.since))
		}
	}
	return lacks
}
