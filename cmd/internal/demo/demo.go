package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"dirtbike/cmd/internal/demo/clinic"
	"dirtbike/docker/embedded"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
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
	// Dir keeps everything; "" is a temporary directory that is removed at the end.
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

// Run shows the whole product. It returns nil only if every table was equal at the end.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{Options: o, began: time.Now(), screen: newScreen(o.Out, o.Terminal)}
	if err := d.prepareDir(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for _, step := range []func(context.Context) error{d.startStack, d.fill, d.startLegs, d.copy} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	busy := ctx
	if o.For > 0 {
		var cancel context.CancelFunc
		busy, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	if err := d.live(busy); err != nil {
		return err
	}
	// after Ctrl-C with --for 0 the proof is still owed
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return d.prove(closing)
}

type demo struct {
	Options
	began         time.Time
	screen        *screen
	temporary     bool
	stack         *embedded.Stack
	capture, load *child
	config        string
	ops           string
	postgres      *pgx.Conn
	clickhouse    driver.Conn
	rows          map[string]int64 // filled per table, "public.x"
}

func (d *demo) prepareDir() error {
	if d.Dir != "" {
		return os.MkdirAll(d.Dir, 0o755) //nolint:gosec // Postgres runs as another user when we are root
	}
	dir, err := os.MkdirTemp("", "dirtbike-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	d.Dir, d.temporary = dir, true
	return os.Chmod(dir, 0o755) //nolint:gosec // as above
}

func (d *demo) startStack(ctx context.Context) error {
	d.screen.say("Starting Postgres, ClickHouse, Kafka and a schema registry (no Docker) …")
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
	if d.postgres, err = pgx.Connect(ctx, stack.Postgres.DatabaseURL(database)); err != nil {
		return fmt.Errorf("connect to the embedded Postgres: %w", err)
	}
	options, err := clickhouse.ParseDSN(stack.ClickHouse.URL())
	if err != nil {
		return fmt.Errorf("the embedded ClickHouse's URL: %w", err)
	}
	if d.clickhouse, err = clickhouse.Open(options); err != nil {
		return fmt.Errorf("connect to the embedded ClickHouse: %w", err)
	}
	return nil
}

func (d *demo) fill(ctx context.Context) error {
	rows := d.Rows
	if rows == 0 {
		rows = clinic.DefaultRows
	}
	d.rows = map[string]int64{}
	bars := d.screen.bars("Filling a clinic's Postgres")
	err := clinic.Fill(ctx, d.stack.Postgres.DatabaseURL(database), clinic.Scale{Rows: rows}, seed, func(table string, done, total int64) {
		d.rows["public."+table] = total
		bars.set("public."+table, done, total)
	})
	bars.close()
	return err
}

func (d *demo) startLegs(context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a free port, given back at once
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	d.ops = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	d.config = filepath.Join(d.Dir, "dirtbike.yaml")
	if err := writeConfig(d.config, d.stack, d.ops); err != nil {
		return err
	}
	d.capture = &child{self: d.Self, name: "capture", log: filepath.Join(d.Dir, "capture.log"), args: []string{"capture", "--config", d.config, "--log-format", "json"}}
	d.load = &child{self: d.Self, name: "load", log: filepath.Join(d.Dir, "load.log"), args: []string{"load", "--config", d.config, "--log-format", "json", "--listen", "127.0.0.1:0"}}
	if err := d.capture.start(); err != nil {
		return err
	}
	if err := d.load.start(); err != nil {
		return err
	}
	d.screen.say("Postgres    %s\nClickHouse  %s (reporting: database %s)\nKafka       %v, registry %s\nOps         http://%s/readyz?verbose  /status  /metrics\nConfig      %s",
		d.stack.Postgres.DatabaseURL(database), d.stack.ClickHouse.URL(), database, d.stack.Kafka.Brokers(), d.stack.Registry.URL(), d.ops, d.config)
	return nil
}

// healthy gives the error of a leg that has ended by itself.
func (d *demo) healthy() error { return errors.Join(d.capture.ended(), d.load.ended()) }

// close ends everything that was started and removes what is temporary.
func (d *demo) close() error {
	closing, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for _, c := range []*child{d.load, d.capture} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	if d.postgres != nil {
		errs = append(errs, d.postgres.Close(closing))
	}
	if d.clickhouse != nil {
		errs = append(errs, d.clickhouse.Close())
	}
	if d.stack != nil {
		errs = append(errs, d.stack.Stop(closing))
	}
	if d.temporary {
		errs = append(errs, os.RemoveAll(d.Dir))
	} else {
		d.screen.say("Everything is kept in %s", d.Dir)
	}
	return errors.Join(errs...)
}
