package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/demo/clinic"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
	"dirtbike/docker/embedded"
)

// Options of a demo.
type Options struct {
	// Out takes what people read; Terminal says that it is one, so that figures are updated in place.
	Out      io.Writer
	Terminal bool
	// For is how long the clinic is kept busy; 0 is until ctx ends.
	For time.Duration
	// Kill says that capture and ClickHouse are killed once each on the way.
	Kill bool
	// Dir keeps everything and must be new or empty; "" is a temporary directory that is removed at the end.
	Dir string
	// Rows of the clinic, about; 0 is a million.
	Rows int
	// Engines and Kafka as for the embedded stack.
	Engines, Kafka string
	// Self is this program's file: the legs are processes of it. Log takes the stack's own messages.
	Self string
	Log  *zap.Logger
}

// seed makes every demo the same.
const seed = 20260101

// Run shows the whole product. It returns nil if every table was equal at the end, and an error that says so if ctx
// ended before that was known. With For 0 the end of ctx ends the clinic's work, and the comparison follows; it takes
// another SIGINT or SIGTERM to leave it out. Nothing that was started outlives it.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	d := &demo{Options: o, began: time.Now(), screen: newScreen(o.Out, o.Terminal)}
	if err := d.prepareDir(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, d.close())
		d.farewell(err)
	}()
	return d.run(ctx)
}

func (d *demo) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.startStack, d.fill, d.startLegs, d.copy} {
		if err := step(ctx); err != nil || ctx.Err() != nil {
			return d.unless(ctx, err)
		}
	}
	busy, proof, stop := d.stages(ctx)
	defer stop()
	if err := d.live(busy); err != nil || proof.Err() != nil {
		return d.unless(proof, err)
	}
	proving, cancel := context.WithTimeout(proof, proveTimeout)
	defer cancel()
	if err := d.prove(proving); err != nil {
		return d.unless(proof, err)
	}
	return nil
}

// proveTimeout bounds the comparison.
const proveTimeout = 10 * time.Minute

// stages gives the contexts of the clinic's work and of the comparison, and what ends both. With For 0 the end of ctx
// ends only the work: the comparison still follows, unless another signal comes.
func (d *demo) stages(ctx context.Context) (busy, proof context.Context, end context.CancelFunc) {
	if d.For > 0 {
		busy, end = context.WithTimeout(ctx, d.For)
		return busy, ctx, end
	}
	proof, skip := context.WithCancel(context.WithoutCancel(ctx))
	busy, rest := context.WithCancel(proof)
	forget := context.AfterFunc(ctx, func() {
		defer skip()
		again, stop := signal.NotifyContext(proof, os.Interrupt, syscall.SIGTERM)
		defer stop()
		d.screen.note("  stopping the clinic; comparing now; Ctrl-C again skips this")
		rest()
		<-again.Done()
	})
	return busy, proof, func() { forget(); rest(); skip() }
}

// unless gives err, or the result of the comparison if the demo was interrupted, which explains err.
func (d *demo) unless(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	d.screen.keep()
	d.screen.say("\nInterrupted: stopping everything.")
	what := "nothing was compared"
	if d.answered {
		what = "the two answers were equal, but not every row was compared"
	}
	try := "let the demo end by itself; --rows 100000 --for 10s is shorter"
	if d.For == 0 {
		try = "press Ctrl-C once, when the clinic is at work, and let the comparison end"
	}
	return cdc.Failed("interrupted: %s", what).Fix("%s", try)
}

// check finds early what would otherwise fail only after everything has been started. Its error is ErrOptions.
func (o *Options) check() error {
	if o.For < 0 {
		return cdc.Failed("it cannot run for %s", o.For).Of(ErrOptions).Fix("--for 30s, or --for 0 until Ctrl-C")
	}
	if err := cmp.Or(embedded.Options{Engines: o.Engines, Kafka: o.Kafka}.Check(), clinic.CheckRows(o.Rows)); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

type demo struct {
	Options
	began         time.Time
	screen        *screen
	temporary     bool
	answered      bool // both databases, the nightly ETL's question, and equally
	stack         *embedded.Stack
	capture, load *embedded.Process
	config        *config.Config
	configFile    string
	ops           string
	postgres      *pgx.Conn
	lagConn       *pgx.Conn // only for the slot's lag, at the same time as the clinic's work
	clickhouse    driver.Conn
	order         []string         // of the tables, "public.x"
	rows          map[string]int64 // filled per table
	copied        int64
}

func (d *demo) startStack(ctx context.Context) error {
	left := "kept"
	if d.temporary {
		left = "removed at the end"
	}
	d.screen.say("%s", d.screen.quiet("Everything is in "+d.Dir+", which is "+left))
	d.screen.heading("Starting Postgres, ClickHouse, Kafka and a schema registry, without Docker")
	began := time.Now()
	stack, err := embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(d.Dir, "stack"), Engines: d.Engines, Kafka: d.Kafka, Log: d.Log, Progress: embedded.NewProgress(d.Out),
	})
	if err != nil {
		return err
	}
	d.stack = stack
	if err := stack.Postgres.CreateDatabase(ctx, database); err != nil {
		return fmt.Errorf("create the clinic's database: %w", err)
	}
	for _, conn := range []**pgx.Conn{&d.postgres, &d.lagConn} {
		if *conn, err = clinic.Connect(ctx, stack.Postgres.DatabaseURL(database)); err != nil {
			return fmt.Errorf("connect to the embedded Postgres: %w", err)
		}
	}
	d.screen.say("  %s ready after %.1f s", d.screen.good("✓"), time.Since(began).Seconds())
	return nil
}

func (d *demo) fill(ctx context.Context) error {
	rows := cmp.Or(d.Rows, clinic.DefaultRows)
	d.rows = map[string]int64{}
	bars := d.screen.bars("Filling a synthetic clinic's Postgres", int64(rows))
	defer bars.close()
	err := clinic.Fill(ctx, d.stack.Postgres.DatabaseURL(database), rows, seed, func(table string, done, total int64) {
		table = "public." + table
		if _, known := d.rows[table]; !known {
			d.order = append(d.order, table)
		}
		d.rows[table] = total
		bars.set(table, done, total)
	})
	if err == nil {
		bars.finish()
	}
	return err
}

func (d *demo) startLegs(ctx context.Context) error {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	d.ops = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	d.configFile = filepath.Join(d.Dir, configName)
	if err := writeConfig(d.configFile, d.stack, d.ops); err != nil {
		return err
	}
	if d.config, err = config.Load(d.configFile); err != nil {
		return err
	}
	if d.clickhouse, err = pipeline.ClickHouse(d.config); err != nil {
		return err
	}
	if d.capture, err = d.startLeg(ctx, "capture"); err != nil {
		return err
	}
	if d.load, err = d.startLeg(ctx, "load", "--listen", "127.0.0.1:0"); err != nil {
		return err
	}
	for _, line := range [][2]string{
		{"Postgres", d.screen.fitting(d.stack.Postgres.DatabaseURL(database))},
		{"ClickHouse", d.stack.ClickHouse.URL() + "/" + database},
		{"Kafka", strings.Join(d.stack.Kafka.Brokers(), ",")},
		{"Registry", d.stack.Registry.URL()},
		{"Ops", "http://" + d.ops + "/readyz?verbose   /status   /metrics"},
		{"Config", d.configFile},
	} {
		d.screen.say("  %-12s %s", line[0], line[1])
	}
	return nil
}

// startLeg starts a leg in a process of its own, so that it can be killed for real.
func (d *demo) startLeg(ctx context.Context, verb string, args ...string) (*embedded.Process, error) {
	args = append([]string{verb, "--config", d.configFile, "--log-format", "json"}, args...)
	return embedded.StartProcess(ctx, verb, filepath.Join(d.Dir, verb+".log"), d.Self, args...)
}

// healthy gives the error of a leg that has ended by itself.
func (d *demo) healthy() error {
	if err := errors.Join(d.capture.Ended(), d.load.Ended()); err != nil {
		return cdc.Failed("capture or load ended").Because(err).Fix("run the demo with --dir DIR and read its logs, DIR/capture.log and DIR/load.log")
	}
	return nil
}

// close ends everything that was started and removes what is temporary.
func (d *demo) close() error {
	closing, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for _, leg := range []*embedded.Process{d.load, d.capture} {
		if leg != nil {
			errs = append(errs, leg.Stop(closing))
		}
	}
	for _, conn := range []*pgx.Conn{d.postgres, d.lagConn} {
		if conn != nil {
			errs = append(errs, conn.Close(closing))
		}
	}
	if d.clickhouse != nil {
		errs = append(errs, d.clickhouse.Close())
	}
	if d.stack != nil {
		errs = append(errs, d.stack.Stop(closing))
	}
	if d.temporary {
		errs = append(errs, os.RemoveAll(d.Dir))
	}
	return errors.Join(errs...)
}

// farewell says how it went and what is left.
func (d *demo) farewell(err error) {
	left := "everything is stopped, the temporary directory removed"
	if !d.temporary {
		left = "everything is stopped; the data is in " + d.Dir
	}
	if err == nil {
		left = fmt.Sprintf("%.0f s in all; %s", time.Since(d.began).Seconds(), left)
	}
	d.screen.say("  %s", left)
}
