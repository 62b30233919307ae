package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/config"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
	"dirtbike/sinks/kafka"
)

// Former is what a table's topic still has from before its present copy: records that were made under the policies of
// their time.
type Former struct {
	Table, Topic string
	// Generation is the present copy; Records are before it, below the offsets of Below in each partition.
	Generation uint32
	Records    int64
	Below      map[int32]int64
	// Passed says that every loader of this ClickHouse has applied past the beginning of the present copy.
	Passed bool
	// Readers are others that have not; only Purge asks for them.
	Readers []Reader

	starts map[int32]int64
}

// formers finds out what the topics of tables still have from before their present copies, whose generation the
// caller says. A table whose topic is gone is left out.
func (h *Health) formers(ctx context.Context, of []Former) ([]Former, error) {
	names := make([]string, len(of))
	for i := range of {
		names[i] = of[i].Topic
	}
	admin := kadm.NewClient(h.kafka)
	topics, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, KafkaError(err)
	}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, KafkaError(err)
	}
	books := ledger.New(h.ClickHouse, h.config.ClickHouse.Database)
	marks, err := books.Opens(ctx, names)
	if err != nil {
		return nil, err
	}
	applied, err := books.Applied(ctx, names)
	if err != nil {
		return nil, err
	}
	var out []Former
	for _, f := range of {
		if topic := topics[f.Topic]; topic.Err == nil {
			f.measure(topic, starts, marks, applied)
			out = append(out, f)
		}
	}
	return out, nil
}

// measure counts what lies before the present copy. Passed says that every loader has begun it, in every partition.
func (f *Former) measure(topic kadm.TopicDetail, starts kadm.ListedOffsets, marks []ledger.Mark, applied []ledger.Applied) {
	id := [16]byte(topic.ID)
	f.Below, f.starts, f.Passed = map[int32]int64{}, map[int32]int64{}, true
	for p := range topic.Partitions {
		open := int64(-1)
		for _, m := range marks {
			if [16]byte(m.TopicID) == id && m.Partition == p && m.Generation == f.Generation {
				open = m.Offset
			}
		}
		f.Passed = f.Passed && open >= 0 && (open == 0 || slices.ContainsFunc(applied, func(a ledger.Applied) bool {
			return [16]byte(a.TopicID) == id && a.Partition == p && a.Next >= open
		}))
		if start, known := starts.Lookup(f.Topic, p); known && start.Err == nil && start.Offset < open {
			f.Below[p], f.starts[p] = open, start.Offset
			f.Records += open - start.Offset
		}
	}
}

// Formers says, by table, how many records the topics still have from before the present copies; tables without any
// are left out.
func (h *Health) Formers(ctx context.Context) (map[string]int64, error) {
	shown, err := ledger.New(h.ClickHouse, h.config.ClickHouse.Database).ShownTables(ctx)
	if err != nil {
		return nil, err
	}
	var again []Former
	for _, s := range shown {
		if s.Generation > 1 {
			again = append(again, Former{Table: s.Table, Topic: s.Topic, Generation: s.Generation})
		}
	}
	out := map[string]int64{}
	if len(again) == 0 {
		return out, nil
	}
	found, err := h.formers(ctx, again)
	for _, f := range found {
		if f.Records > 0 {
			out[f.Table] = f.Records
		}
	}
	return out, err
}

// behind refuses to delete what somebody still needs.
func (f *Former) behind(why string) *cdc.Problem {
	return cdc.Refused("nothing of %s is deleted: %s", f.Table, why).Keeps("Kafka still has everything").Fix("dirtbike wait")
}

// named gives the table of that name, as the catalog and the config have it.
func (h *Health) named(ctx context.Context, table string) (*cdc.Table, error) {
	listed, err := listTables(ctx, h.config)
	if err != nil {
		return nil, err
	}
	for _, t := range listed {
		if t.FullName() == table {
			return t, nil
		}
	}
	return nil, cdc.Refused("%s is not captured", table).Fix("the full name, schema.table, of a table that source.tables names")
}

// Purge deletes from a table's topic what is from before its present copy, which may hold values that the policies no
// longer let out. Without confirmed it only says what that is. It refuses what a loader or, without despite, another
// group still needs, and while ClickHouse has storage of a former copy, which load drops.
func Purge(ctx context.Context, c *config.Config, log *zap.Logger, table string, confirmed, despite bool) (Former, error) {
	h, err := NewHealth(c)
	if err != nil {
		return Former{}, err
	}
	defer h.Close()
	f, err := h.settled(ctx, table)
	if err != nil {
		return f, err
	}
	found, err := h.formers(ctx, []Former{f})
	switch {
	case err != nil:
		return f, err
	case len(found) == 0:
		return f, cdc.Refused("topic %s of %s is not there", f.Topic, table).Fix("dirtbike status")
	case !found[0].Passed:
		return f, f.behind("a loader has not passed the beginning of the present copy")
	}
	if f = found[0]; f.Records == 0 {
		return f, nil
	}
	if f.Readers, err = h.readers(ctx, &f); err != nil || !confirmed {
		return f, err
	}
	if len(f.Readers) > 0 && !despite {
		return f, f.unread()
	}
	if err := kafka.DeleteBefore(ctx, kadm.NewClient(h.kafka), f.Topic, f.Below); err != nil {
		if errors.Is(err, cdc.ErrRefused) {
			return f, err
		}
		return f, KafkaError(err)
	}
	log.Info("deleted what was captured before the present copy", zap.String("table", f.Table), zap.String("topic", f.Topic),
		zap.Uint32("generation", f.Generation), zap.Int64("records", f.Records))
	return f, nil
}

// settled gives the copy that the view shows, if it is the newest that there is for capture, and no storage of a
// former one is left.
func (h *Health) settled(ctx context.Context, table string) (f Former, err error) {
	f.Table = table
	listed, err := h.named(ctx, table)
	if err != nil {
		return f, err
	}
	state, err := stateOf(ctx, h.config, table)
	if err != nil {
		return f, err
	}
	stored := state.Tables[table]
	if stored.Phase != cdc.TableStreaming {
		return f, f.behind("its present copy is not complete, or it is not captured")
	}
	if otherPolicy(stored, state.Source, listed, h.config) {
		return f, cdc.Refused("nothing of %s is deleted: its present copy was made under another policy than the config has now, so that topic and view "+
			"still have what that let out", table).Keeps("Kafka still has everything").Fix("%s", cdc.ResnapshotCommand(table))
	}
	f.Topic, f.Generation = stored.Topic, stored.Generation
	return f, h.shownAlone(ctx, &f, schemas.ClickHouseView(listed.Schema, listed.Name))
}

// stateOf reads what capture has stored, which says whether the table's copy is complete.
func stateOf(ctx context.Context, c *config.Config, table string) (*cdc.State, error) {
	state, err := askState(ctx, c)
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return nil, cdc.Refused("nothing of %s is deleted: the stored state, which says whether its copy is complete, cannot be read", table).
			Fix("grant Read and Describe on topic %s", schemas.StateTopic(c.Kafka.Prefix))
	case err == nil && state == nil:
		return nil, cdc.Refused("nothing of %s is deleted: nothing was captured yet", table).Fix("dirtbike run, then dirtbike wait")
	}
	return state, err
}

// otherPolicy reports whether the present copy was made under another policy than the config's. Without the hash key
// every hashed table would seem to be: then it is not known, and false.
func otherPolicy(stored cdc.TableState, source cdc.SourceState, listed *cdc.Table, c *config.Config) bool {
	if c.HashKeyMissing() && len(source.HashKeys) > 0 || listed.Refused != nil {
		return false
	}
	return stored.PolicyPrint != listed.PolicyPrint
}

// shownAlone refuses if the view does not show the copy, or storage of a former one is left.
func (h *Health) shownAlone(ctx context.Context, f *Former, view string) error {
	books := ledger.New(h.ClickHouse, h.config.ClickHouse.Database)
	views, err := books.Views(ctx)
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(views, func(v ledger.View) bool { return v.Name == view }); at < 0 || views[at].Generation != f.Generation {
		return f.behind("its view does not show the present copy yet")
	}
	left, err := books.FormerStorage(ctx, view, f.Generation)
	if err == nil && len(left) > 0 {
		return f.behind("ClickHouse still has former storage (" + strings.Join(left, ", ") + "), which load drops when it has passed it")
	}
	return err
}
