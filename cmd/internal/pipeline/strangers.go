package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/consume"
)

// strangersTimeout bounds what a look at the group may take of a health check.
const strangersTimeout = 2 * time.Second

// Strangers is an error if a client that is no loader is a member of the loaders' group: Kafka gives it partitions,
// which nobody loads then. A Kafka that does not say who is in the group says nothing wrong.
func (h *Health) Strangers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, strangersTimeout)
	defer cancel()
	name := Group(h.config)
	groups, err := kadm.NewClient(h.kafka).DescribeGroups(ctx, name)
	if err != nil {
		return nil //nolint:nilerr // the check kafka says so
	}
	var strangers []string
	for _, m := range groups[name].Members {
		if m.ClientID != consume.ClientID {
			strangers = append(strangers, fmt.Sprintf("%.64q at %s, member %.80q", m.ClientID, m.ClientHost, m.MemberID)) // names that anybody chose
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	return cdc.Failed("group %s has a member that is no loader (%s): what Kafka gives it to read is not loaded,"+
		" and one that shares partitions out otherwise keeps loaders out", name, cdc.Few(strangers)).
		Keeps("It waits in Kafka").Fix("stop that client, or give it a group of its own")
}
