// Package pipeline builds the legs of a pipeline from its config: wiring only.
package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cdc/capture"
	"dirtbike/cdc/postgres"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cdc/privacy"
	"dirtbike/config"
	"dirtbike/schemas"
	"dirtbike/sinks/kafka"
)

// Options are what the legs of one process share.
type Options struct {
	Config  *config.Config
	Log     *zap.Logger
	Metrics prometheus.Registerer
	// Fault is set by test binaries only.
	Fault cdc.Fault
	// Patient says that a source or sink that does not answer at the start is waited for, however long.
	Patient bool
	// replacesState says that the stored state is about to be replaced.
	replacesState bool
}

// policies compiles the config's column policies for capture; the hash key is made at the first use of one, and log
// says so. prints has the fingerprint of the key in use by its id.
func policies(c *config.Config, log *zap.Logger) (policies schemas.Policies, prints map[string]string, err error) {
	missing := c.HashKeyMissing()
	id, key, err := c.HashKey()
	if err == nil && missing {
		log.Info("made a key for the policy hash: keep it and back it up, since another key would change every hash", zap.String("file", c.HashKeyFile()))
	}
	return compile(c, id, key, err)
}

// ExistingPolicies are the config's column policies for verbs that only read: a missing hash key is refused.
func ExistingPolicies(c *config.Config) (schemas.Policies, map[string]string, error) {
	id, key, err := c.ExistingHashKey()
	return compile(c, id, key, err)
}

func compile(c *config.Config, id string, key []byte, err error) (schemas.Policies, map[string]string, error) {
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", cdc.ErrRefused, err)
	}
	var prints map[string]string
	if id != "" {
		prints = map[string]string{id: config.Fingerprint(id, key)}
	}
	return privacy.New(rules{c}, privacy.HashKeys{ID: id, Key: key}), prints, nil
}

// Selection says which tables the config captures, for those who read the catalog themselves (verify, status).
func Selection(c *config.Config) catalog.Selection { return selection{c} }

// NewCapture wires the capture leg; nothing is connected yet, except that the stored state is read before a hash key is
// made. release frees what it holds outside of Run.
func NewCapture(o Options) (made *capture.Capture, release func(context.Context), err error) {
	c := o.Config
	if !o.replacesState {
		if err := keepHashKey(c); err != nil {
			return nil, nil, err
		}
	}
	if _, _, err := policies(c, o.Log); err != nil { // it makes the hash key
		return nil, nil, err
	}
	reg, err := Registry(c)
	if err != nil {
		return nil, nil, err
	}
	sink, err := newSink(o)
	if err != nil {
		return nil, nil, err
	}
	made, closeTables, err := CaptureInto(o, reg, sink, func(*capture.Options) {})
	if err != nil {
		return nil, nil, err
	}
	return made, func(ctx context.Context) {
		closeTables(ctx)
		reg.Close()
	}, nil
}

// CaptureInto wires capture as NewCapture does, with the caller's sink and registry; the caller may also change the
// engine's options. A missing hash key is refused.
func CaptureInto(o Options, registry schemas.Registry, sink cdc.Sink, change func(*capture.Options)) (*capture.Capture, func(context.Context), error) {
	c := o.Config
	policies, prints, err := ExistingPolicies(c)
	if err != nil {
		return nil, nil, err
	}
	fromCatalog := catalog.New(tableOptions(c, captureLogin(c), policies, registry))
	co := captureOptions(c, newSource(o, captureLogin(c)), sink, fromCatalog, prints)
	co.Listed = (&announcer{config: c, log: o.Log.Named("privacy")}).listed
	co.Log, co.Metrics, co.Fault = o.Log.Named("capture"), capture.NewMetrics(o.Metrics), o.Fault
	if o.Patient {
		co.FirstContact = math.MaxInt64
	}
	change(&co)
	return capture.NewCapture(co), fromCatalog.Close, nil
}

func tableOptions(c *config.Config, login postgres.Login, policies schemas.Policies, registry schemas.Registry) catalog.Options {
	return catalog.Options{
		Login: login, Prefix: c.Kafka.Prefix, Database: c.ClickHouse.Database,
		Partitions: int32(c.Kafka.Partitions), //nolint:gosec // at most 10000
		Tombstones: c.Kafka.Tombstones == config.TombstonesAlways,
		Selection:  selection{c}, Named: namedBy(c), Entry: entryOf(c), Policies: policies, Registry: registry, Publication: c.Source.Publication, Keys: c.Source.Keys,
	}
}

// namedBy asks the config for catalog.Options.Named.
func namedBy(c *config.Config) func(schema, table, column string) bool {
	return func(schema, table, column string) bool {
		if column == "" {
			return c.Privacy.Names(schema, table)
		}
		return c.Privacy.Decide(schema, table, column).By == config.ByName
	}
}

// entryOf asks the config for catalog.Options.Entry.
func entryOf(c *config.Config) func(schema, table, column string) string {
	return func(schema, table, column string) string {
		return fmt.Sprintf("%s:%d", config.Named(c.Path()), c.Privacy.Decide(schema, table, column).Line)
	}
}

// captureOptions are the options of a capture in the config.
func captureOptions(c *config.Config, source cdc.Source, sink cdc.Sink, tables cdc.Tables, prints map[string]string) capture.Options {
	return capture.Options{
		Source: source, Sink: sink, Tables: tables,
		Partitions: int32(c.Kafka.Partitions), //nolint:gosec // at most 10000
		Slot:       c.Source.Slot, HashKeys: prints, SnapshotWorkers: c.Source.Snapshot.Workers,
		MaxTransaction: int64(c.Kafka.MaxTransaction), MaxRecord: kafka.MaxRecord(c.Kafka.MaxMessageBytes.Int()),
	}
}

// captureLogin is capture's login to Postgres, MonitorLogin that of all who only read.
func captureLogin(c *config.Config) postgres.Login {
	return postgres.Login{URL: c.Source.URL.Reveal(), MaxRecord: c.Kafka.MaxMessageBytes.Int()}
}

// MonitorLogin is the login to Postgres of verbs and checks, which only read.
func MonitorLogin(c *config.Config) postgres.Login {
	return postgres.Login{URL: c.Source.URL.Reveal(), Name: postgres.MonitorName, MaxRecord: c.Kafka.MaxMessageBytes.Int()}
}

func newSource(o Options, login postgres.Login) *postgres.Source {
	c := o.Config.Source
	return postgres.New(postgres.Options{Login: login, Slot: c.Slot, Publication: c.Publication, Log: o.Log.Named("replication")})
}

// TransactionalID is what fences the captures of a pipeline.
func TransactionalID(c *config.Config) string {
	return "dirtbike." + c.Kafka.Prefix + "." + c.Source.Slot
}

func newSink(o Options) (*kafka.Sink, error) {
	k := o.Config.Kafka
	client, err := KafkaClient(o.Config)
	if err != nil {
		return nil, err
	}
	return kafka.New(kafka.Options{
		Client: client, Prefix: k.Prefix, TransactionalID: TransactionalID(o.Config),
		Partitions:    int32(k.Partitions),                                        //nolint:gosec // at most 10000
		Replication:   int16(k.Replication),                                       //nolint:gosec // at most 32
		ReplayHorizon: k.ReplayHorizon, MaxMessageBytes: int32(k.MaxMessageBytes), //nolint:gosec // at most 1 GB
		TransactionTimeout: k.TransactionTimeout, Compression: string(k.Compression),
		Anew: o.replacesState, Release: (*cdc.Chunk).Release, Log: o.Log.Named("kafka"), Metrics: o.Metrics, Fault: o.Fault,
	})
}

// Trial is the capture leg in its parts, to check whether it would start: it is wired as NewCapture does it, but makes
// no hash key. It writes nothing anywhere as long as only Source's readers, Tables, Sink.Peek, Sink.Inspect and
// Capture.WouldStart are called.
type Trial struct {
	Source  *postgres.Source
	Tables  *catalog.Tables
	Sink    *kafka.Sink
	Capture *capture.Capture
	// Policies are what a start would apply.
	Policies schemas.Policies
	// Keyless says that the hash key's file is missing, and the key replaced: a stored state cannot be checked.
	Keyless bool
}

// NewTrial wires a trial; nothing is connected yet. registry gets every schema that a start would register.
func NewTrial(c *config.Config, registry schemas.Registry) (*Trial, error) {
	policies, prints, err := trialPolicies(c)
	if err != nil {
		return nil, err
	}
	o := Options{Config: c, Log: zap.NewNop()}
	sink, err := newSink(o)
	if err != nil {
		return nil, err
	}
	t := &Trial{
		Source: newSource(o, MonitorLogin(c)), Tables: catalog.New(tableOptions(c, MonitorLogin(c), policies, registry)), Sink: sink,
		Policies: policies, Keyless: c.HashKeyMissing(),
	}
	t.Capture = capture.NewCapture(captureOptions(c, t.Source, t.Sink, t.Tables, prints))
	return t, nil
}

// trialPolicies makes no key: one that is missing is replaced by one for this process.
func trialPolicies(c *config.Config) (schemas.Policies, map[string]string, error) {
	if !c.HashKeyMissing() {
		return ExistingPolicies(c)
	}
	const least = 32
	key := make([]byte, least)
	rand.Read(key) // it never returns an error
	return privacy.New(rules{c}, privacy.HashKeys{ID: "k1", Key: key}), nil, nil
}

// selection lets the catalog ask the config which tables are captured.
type selection struct{ config *config.Config }

// Match implements catalog.Selection.
func (s selection) Match(schema, table string) bool { return s.config.Source.Match(schema, table) }

// Names implements catalog.Selection.
func (s selection) Names(schema, table string) bool { return s.config.Source.Names(schema, table) }

// Check implements catalog.Selection: every name in the config must be a name in the database. A policy whose column is
// not there costs its table: the column may be there under another name, and would be published as it is.
func (s selection) Check(all []*schemas.Relation) error {
	names := make([]config.TableName, len(all))
	relations := make([]config.Relation, len(all))
	for i, rel := range all {
		names[i] = config.TableName{Schema: rel.Schema, Table: rel.Name}
		relations[i] = config.Relation{TableName: names[i], Columns: columnNames(rel)}
		if s.Match(rel.Schema, rel.Name) {
			for _, k := range rel.Key {
				relations[i].Key = append(relations[i].Key, rel.Columns[k].Name)
			}
		}
	}
	captured := slices.DeleteFunc(slices.Clone(relations), func(r config.Relation) bool { return !s.Match(r.Schema, r.Table) })
	source, privacy := s.config.Source, s.config.Privacy
	return errors.Join(s.config.Source.CheckGlobs(names), byTable(source.CheckKeys(relations), false), byTable(privacy.Check(relations), false),
		byTable(privacy.CheckRenamed(captured, relations), true))
}

// byTable lets the catalog know which problems are one table's.
func byTable(err error, blocks bool) error {
	var problems config.Errors
	if !errors.As(err, &problems) {
		return err
	}
	var out []error
	for _, p := range problems {
		if p.Table == "" {
			out = append(out, p)
			continue
		}
		out = append(out, &catalog.TableError{Table: p.Table, BlocksStart: blocks, Err: p})
	}
	return errors.Join(out...)
}

func columnNames(rel *schemas.Relation) []string {
	names := make([]string, len(rel.Columns))
	for i := range rel.Columns {
		names[i] = rel.Columns[i].Name
	}
	return names
}

// rules lets the policies ask the config what happens to a column.
type rules struct{ config *config.Config }

// For implements privacy.Rules.
func (r rules) For(schema, table, column string) (policy string, named bool) {
	p, named := r.config.Privacy.For(schema, table, column)
	return string(p), named
}

// Domain implements privacy.Rules.
func (r rules) Domain(schema, table, column string) string {
	return r.config.Privacy.Domain(schema, table, column)
}
