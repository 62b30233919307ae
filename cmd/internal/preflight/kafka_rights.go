package preflight

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/schemas"
)

// topicOperations are what both legs need; README has them per leg. A start does without DescribeConfigs.
var topicOperations = []kadm.ACLOperation{kadm.OpCreate, kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpRead, kadm.OpWrite}

var operationNames = map[kadm.ACLOperation]string{
	kadm.OpRead: "Read", kadm.OpWrite: "Write", kadm.OpCreate: "Create", kadm.OpDescribe: "Describe", kadm.OpDescribeConfigs: "DescribeConfigs",
}

// judgeLacks says which rights to a resource are missing; resource is what kafka-acls.sh calls it.
func (r *run) judgeLacks(p *part, q question, resource string, lacks []string, err error) {
	if err != nil {
		p.error(q.slug, q.subject, err)
		return
	}
	q.good, q.command = r.principal()+" has every right", r.grant(resource, lacks)
	q.bad = when(len(lacks) > 0, "%s lacks %s", r.principal(), strings.Join(lacks, ", ")) + q.bad
	p.judge(q)
}

// checkTopicRights asks what we may do with the topics, those that are not there yet included.
func (r *run) checkTopicRights(ctx context.Context, p *part, k *cluster, topics []*cdc.Topic) {
	prefix := r.config.Kafka.Prefix
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	if len(names) == 0 {
		names = []string{schemas.TopicName(prefix, "public", "none")}
	}
	own := []string{schemas.StateTopic(prefix), schemas.ProgressTopic(prefix), schemas.ControlTopic(prefix)}
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
		switch {
		case t.Topic == nil, t.ErrorCode == kerr.TopicAuthorizationFailed.Code:
		case t.AuthorizedOperations == math.MinInt32: // the brokers do not say: see the other checks
			may[*t.Topic] = topicOperations
		default:
			may[*t.Topic] = kadm.DecodeACLOperations(t.AuthorizedOperations)
		}
	}
	return may, nil
}

func (r *run) judgeTopicRights(ctx context.Context, p *part, k *cluster, prefix string, topics []string, may map[string][]kadm.ACLOperation) {
	var lacks []kadm.ACLOperation
	at := ""
	for _, topic := range topics {
		for _, op := range topicOperations {
			if !slices.Contains(may[topic], op) && !slices.Contains(lacks, op) {
				lacks, at = append(lacks, op), topic
			}
		}
	}
	if create := slices.Index(lacks, kadm.OpCreate); create >= 0 && len(may[at]) > 0 && mayCreate(ctx, k, prefix) { // by the cluster's Create
		lacks = slices.Delete(lacks, create, create+1)
	}
	slices.Sort(lacks)
	var names []string
	for _, op := range lacks {
		names = append(names, operationNames[op])
	}
	q := question{slug: "kafka-topic-rights", subject: "topics " + prefix + "*", bad: when(len(lacks) > 0, " (%s)", at)}
	if slices.Equal(lacks, []kadm.ACLOperation{kadm.OpDescribeConfigs}) {
		q.level, q.bad = LevelWarning, q.bad+": the topics' settings are not compared"
	}
	r.judgeLacks(p, q, "--topic "+console.Shell(prefix)+" --resource-pattern-type prefixed", names, nil)
}

// mayCreate asks whether a topic of the prefix would be created.
func mayCreate(ctx context.Context, k *cluster, prefix string) bool {
	responses, err := k.admin.ValidateCreateTopics(ctx, 1, 1, nil, prefix+"dirtbike_check")
	return err == nil && responses.Error() == nil
}

// checkTransactionRights asks a broker, not the coordinator: finding the coordinator would make Kafka's internal topic
// on a cluster that has none yet. Brokers check rights first, so that any other error means that the right is there.
func (r *run) checkTransactionRights(ctx context.Context, p *part, k *cluster) {
	if len(k.brokers) == 0 {
		return
	}
	id := pipeline.TransactionalID(r.config)
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
	ended, err := end.RequestWith(ctx, broker)
	if err != nil {
		err = fmt.Errorf("ask for the rights to the transactional id: %w", err)
	} else if ended.ErrorCode == kerr.TransactionalIDAuthorizationFailed.Code {
		lacks = append(lacks, "Write")
	}
	r.judgeLacks(p, question{slug: "kafka-transaction-rights", subject: "transactional id " + id}, "--transactional-id "+console.Shell(id), lacks, err)
}

// checkGroupRights asks a broker, as checkTransactionRights does, with a member that no group has.
func (r *run) checkGroupRights(ctx context.Context, p *part, k *cluster) {
	if len(k.brokers) == 0 {
		return
	}
	group := pipeline.Group(r.config)
	lacks, err := groupLacks(ctx, k, group)
	r.judgeLacks(p, question{slug: "kafka-group-rights", subject: "group " + group}, "--group "+console.Shell(group), lacks, err)
}

func groupLacks(ctx context.Context, k *cluster, group string) (lacks []string, err error) {
	broker := k.client.Broker(int(k.brokers[0].NodeID))
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups, describe.IncludeAuthorizedOperations = []string{group}, true
	described, err := describe.RequestWith(ctx, broker)
	if err != nil {
		return nil, fmt.Errorf("ask for the rights to the group: %w", err)
	}
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = group, "dirtbike-check", math.MaxInt32
	answer, err := beat.RequestWith(ctx, broker)
	if err != nil {
		return nil, fmt.Errorf("ask for the rights to the group: %w", err)
	}
	describes, reads := true, answer.ErrorCode != kerr.GroupAuthorizationFailed.Code
	for _, g := range described.Groups {
		describes = describes && g.ErrorCode != kerr.GroupAuthorizationFailed.Code
		known := g.AuthorizedOperations != math.MinInt32 && (g.ErrorCode == 0 || g.ErrorCode == kerr.GroupIDNotFound.Code) // some brokers say it of no group
		reads = reads && (!known || slices.Contains(kadm.DecodeACLOperations(g.AuthorizedOperations), kadm.OpRead))
	}
	if !describes {
		lacks = append(lacks, "Describe")
	}
	if !reads {
		lacks = append(lacks, "Read")
	}
	return lacks, nil
}

// grant is the command that gives us rights to a resource.
func (r *run) grant(resource string, operations []string) string {
	line := kafkaTool(r.config, "kafka-acls.sh") + " --add --allow-principal " + console.Shell(r.principal())
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

// certificateName is the subject of the client certificate, as brokers without mapping rules name it.
func certificateName(t *config.TLS) (string, error) {
	settings, err := t.Client()
	if err != nil || settings == nil || len(settings.Certificates) == 0 {
		return "", errors.New("no client certificate")
	}
	leaf, err := x509.ParseCertificate(settings.Certificates[0].Certificate[0])
	if err != nil {
		return "", err
	}
	return leaf.Subject.String(), nil
}
