package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"dirtbike/cmd/internal/ops"
	"dirtbike/cmd/internal/pipeline"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

func (a *app) run() *cobra.Command {
	return a.legs("run", "Capture and load in one process", true, true)
}

func (a *app) capture() *cobra.Command {
	return a.legs("capture", "Only capture: Postgres to Kafka", true, false)
}

func (a *app) load() *cobra.Command {
	return a.legs("load", "Only load: Kafka to ClickHouse; several share the work", false, true)
}

func (a *app) legs(use, short string, capture, load bool) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runLegs(c.Context(), capture, load) },
	}
}

// leg is one of the two halves of the pipeline, wired and ready to run.
type leg struct {
	name string
	run  func(context.Context) error
	stop func(context.Context)
}

func (a *app) runLegs(ctx context.Context, capture, load bool) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	log, err := a.logger()
	if err != nil {
		return err
	}
	boundMemory(cfg)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o := pipeline.Options{Config: cfg, Log: log, Metrics: registry, Fault: a.fault}
	health, err := pipeline.NewHealth(cfg)
	if err != nil {
		return wrong(err)
	}
	defer health.Close()
	var legs []leg
	if capture {
		l, err := captureLeg(o, health)
		if err != nil {
			return wrong(err)
		}
		legs = append(legs, l)
	}
	if load {
		l, err := loadLeg(o, health)
		if err != nil {
			return wrong(err)
		}
		legs = append(legs, l)
	}
	collector := health.Collector()
	if err := registry.Register(collector); err != nil {
		return wrong(err)
	}
	server, err := ops.New(cfg.Ops.Listen, append(collector.Checks(), health.Checks...), collector.Status, registry)
	if err != nil {
		return wrong(err)
	}
	log.Info("health and metrics", zap.String("address", server.Addr()))
	if err := a.printChosen(cfg.Ops.Listen, server.Addr()); err != nil {
		log.Warn("print the address of health and metrics", zap.String("address", server.Addr()), zap.Error(err))
	}
	return runAll(ctx, legs, server)
}

// printChosen prints an address whose port nobody knows beforehand, whatever the log's level and form are.
func (a *app) printChosen(listen, address string) error {
	_, port, err := net.SplitHostPort(listen)
	if err != nil || strings.HasSuffix(address, ":"+port) {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Health and metrics at http://%s\n", address)
	return err
}

func captureLeg(o pipeline.Options, health *pipeline.Health) (leg, error) {
	capture, release, err := pipeline.NewCapture(o)
	if err != nil {
		return leg{}, err
	}
	health.Capture = capture.Status
	return leg{"capture", capture.Run, release}, nil
}

func loadLeg(o pipeline.Options, health *pipeline.Health) (leg, error) {
	loader, err := pipeline.NewLoad(o)
	if err != nil {
		return leg{}, err
	}
	health.Checks = append(health.Checks, health.Horizon(), ops.Check{Name: "load", Func: func(context.Context) error {
		if s := loader.Status(); s.LastError != "" {
			return errors.New(s.LastError)
		}
		return nil
	}})
	return leg{"load", loader.Run, func(context.Context) {}}, nil
}

// runAll runs the legs and the ops server until ctx ends or a leg needs a decision; a leg that stops takes the other along,
// so that whoever supervises the process sees it.
func runAll(ctx context.Context, legs []leg, server *ops.Server) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	for _, l := range legs {
		group.Go(func() error {
			if err := l.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			return nil
		})
	}
	err := group.Wait()
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, l := range legs {
		l.stop(releasing)
	}
	return err
}
