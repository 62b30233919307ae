package preflight

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/schemas"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The rights that both legs together need; README has them per leg. A start does without DescribeConfigs, and sees
// less.
var topicOperations = []kadm.ACLOperation{kadm.OpCreate, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpRead, kadm.OpWrite}

// lookAtTopicRights asks what we may do with the topics, those that are not there yet included.
func (r *run) lookAtTopicRights(ctx context.Context, p *part, k *cluster, tables []*cdc.Table) {
	prefix := r.config.Kafka.Prefix
	names := make([]string, 0, len(tables)+1)
	for _, t := range tables {
		names = append(names, t.Topic.Name)
	}
	if len(names) == 0 {
		names = []string{schemas.TopicName(prefix, "public", "none")}
	}
	own := []string{schemas.StateTopic(prefix), schemas.ProgressTopic(prefix)}
	may, err := topicRights(ctx, k, append(slices.Clone(names), own...))
	if err != nil {
		p.error("kafka-topic-rights", r.principal(), err)
		return
	}
	r.judgeTopicRights(ctx, p, k, prefix+".", names, may)
	r.judgeTopicRights(ctx, p, k, schemas.OwnPrefix+prefix+".", own, may)
}

// topicRights gives the operations that are allowed, by topic; one that is not there may have some.
func topicRights(ctx context.Context, k *cluster, names []string) (map[string][]kadm.ACLOperation, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation, req.IncludeTopicAuthorizedOperations = false, true
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, k.client)
	if err != nil {
		return nil, fmt.Errorf("ask for the rights to the topics: %w", err)
	}
	may := map[string][]kadm.ACLOperation{}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		switch {
		case t.ErrorCode == kerr.TopicAuthorizationFailed.Code:
			may[*t.Topic] = nil
		case t.AuthorizedOperations == math.MinInt32: // the brokers do not say: see the other checks
			may[*t.Topic] = topicOperations
		default:
			may[*t.Topic] = kadm.DecodeACLOperations(t.AuthorizedOperations)
		}
	}
	return may, nil
}

func (r *run) judgeTopicRights(ctx context.Context, p *part, k *cluster, prefix string, names []string, may map[string][]kadm.ACLOperation) {
	var lacks []kadm.ACLOperation
	at := ""
	for _, name := range names {
		for _, op := range topicOperations {
			if !slices.Contains(may[name], op) && !slices.Contains(lacks, op) {
				lacks, at = append(lacks, op), name
			}
		}
	}
	if len(may[at]) > 0 && slices.Contains(lacks, kadm.OpCreate) && mayCreate(ctx, k, prefix) { // by the cluster's Create
		lacks = slices.DeleteFunc(lacks, func(op kadm.ACLOperation) bool { return op == kadm.OpCreate })
	}
	subject := "topics " + prefix + "*"
	if len(lacks) == 0 {
		p.ok("kafka-topic-rights", subject, "%s has every right", r.principal())
		return
	}
	slices.Sort(lacks)
	names = operationNames(lacks)
	command := r.grant("--topic "+shell(prefix)+" --resource-pattern-type prefixed", names)
	if slices.Equal(lacks, []kadm.ACLOperation{kadm.OpDescribeConfigs}) {
		p.warn("kafka-topic-rights", subject, command, "%s lacks DescribeConfigs (%s): the topics' settings are not compared", r.principal(), at)
		return
	}
	p.fail("kafka-topic-rights", subject, command, "%s lacks %s (%s)", r.principal(), strings.Join(names, ", "), at)
}

// mayCreate asks whether a topic of the prefix would be created.
func mayCreate(ctx context.Context, k *cluster, prefix string) bool {
	responses, err := k.admin.ValidateCreateTopics(ctx, 1, 1, nil, prefix+"dirtbike_check")
	if err != nil {
		return false
	}
	for _, response := range responses {
		err = response.Err
	}
	return err == nil
}

func operationNames(ops []kadm.ACLOperation) []string {
	spelled := map[kadm.ACLOperation]string{kadm.OpRead: "Read", kadm.OpWrite: "Write", kadm.OpCreate: "Create", kadm.OpDescribe: "Describe", kadm.OpDescribeConfigs: "DescribeConfigs"}
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = spelled[op]
	}
	return names
}

// lookAtTransactionRights asks a broker, not the coordinator: finding the coordinator would make Kafka's internal topic
// on a cluster that has none yet. Brokers check rights first, so that any other error means that the right is there.
func (r *run) lookAtTransactionRights(ctx context.Context, p *part, k *cluster) {
	id := "dirtbike." + r.config.Kafka.Prefix + "." + r.config.Source.Slot
	if len(k.brokers) == 0 {
		return
	}
	broker := k.client.Broker(int(k.brokers[0].NodeID))
	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{id}
	var lacks []string
	described, err := describe.RequestWith(ctx, broker)
	if err == nil && len(described.TransactionStates) == 1 && described.TransactionStates[0].ErrorCode == kerr.TransactionalIDAuthorizationFailed.Code {
		lacks = append(lacks, "Describe")
	}
	// No producer has this id, so that this ends no transaction.
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch = id, math.MaxInt64-1, 0
	ended, endErr := end.RequestWith(ctx, broker)
	if endErr == nil && ended.ErrorCode == kerr.TransactionalIDAuthorizationFailed.Code {
		lacks = append(lacks, "Write")
	}
	switch {
	case endErr != nil:
		p.error("kafka-transaction-rights", id, fmt.Errorf("ask for the rights to the transactional id: %w", endErr))
	case len(lacks) > 0:
		p.fail("kafka-transaction-rights", "transactional id "+id, r.grant("--transactional-id "+shell(id), lacks), "%s lacks %s", r.principal(), strings.Join(lacks, ", "))
	default:
		p.ok("kafka-transaction-rights", "transactional id "+id, "%s has every right", r.principal())
	}
}

// lookAtGroupRights asks a broker, as lookAtTransactionRights does, with a member that no group has.
func (r *run) lookAtGroupRights(ctx context.Context, p *part, k *cluster) {
	group := pipeline.Group(r.config)
	if len(k.brokers) == 0 {
		return
	}
	broker := k.client.Broker(int(k.brokers[0].NodeID))
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups, describe.IncludeAuthorizedOperations = []string{group}, true
	described, err := describe.RequestWith(ctx, broker)
	lacks := map[string]bool{}
	if err == nil {
		for _, g := range described.Groups {
			if g.ErrorCode == kerr.GroupAuthorizationFailed.Code {
				lacks["Describe"] = true
			}
			may, told := kadm.DecodeACLOperations(g.AuthorizedOperations), g.AuthorizedOperations != math.MinInt32 // of a group that is not there, some brokers do
			if told && (g.ErrorCode == 0 || g.ErrorCode == kerr.GroupIDNotFound.Code) && !slices.Contains(may, kadm.OpRead) {
				lacks["Read"] = true
			}
		}
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation = group, "dirtbike-check", math.MaxInt32
		var answer *kmsg.HeartbeatResponse
		if answer, err = beat.RequestWith(ctx, broker); err == nil && answer.ErrorCode == kerr.GroupAuthorizationFailed.Code {
			lacks["Read"] = true
		}
	}
	var names []string
	for _, name := range []string{"Describe", "Read"} {
		if lacks[name] {
			names = append(names, name)
		}
	}
	switch {
	case err != nil:
		p.error("kafka-group-rights", group, fmt.Errorf("ask for the rights to the group: %w", err))
	case len(names) > 0:
		p.fail("kafka-group-rights", "group "+group, r.grant("--group "+shell(group), names), "%s lacks %s", r.principal(), strings.Join(names, ", "))
	default:
		p.ok("kafka-group-rights", "group "+group, "%s has every right", r.principal())
	}
}

// grant is the command that gives us rights to a resource.
func (r *run) grant(resource string, operations []string) string {
	line := kafkaTool(r.config, "kafka-acls.sh") + " --add --allow-principal " + shell(r.principal())
	for _, op := range operations {
		line += " --operation " + op
	}
	return line + " " + resource
}

// principal is who we are to the brokers.
func (r *run) principal() string {
	k := r.config.Kafka
	if k.SASL != nil {
		return "User:" + k.SASL.User
	}
	if name, err := certificateName(k.TLS); err == nil {
		return "User:" + name
	}
	return "User:ANONYMOUS"
}

var errNoCertificate = errors.New("no client certificate")

// certificateName is the subject of the client certificate, as brokers without mapping rules name it.
func certificateName(t *config.TLS) (string, error) {
	settings, err := t.Client()
	if err != nil || settings == nil || len(settings.Certificates) == 0 {
		return "", errNoCertificate
	}
	leaf, err := x509.ParseCertificate(settings.Certificates[0].Certificate[0])
	if err != nil {
		return "", err
	}
	return leaf.Subject.String(), nil
}
