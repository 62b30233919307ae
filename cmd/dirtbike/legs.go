package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
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
	hangups := make(chan os.Signal, 1) // one that comes while another is worked on is not lost
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	cfg, err := a.config()
	if err != nil {
		return err
	}
	log, err := a.logger()
	if err != nil {
		return err
	}
	boundMemory(cfg)
	s := newService(a, log, capture, load, hangups)
	first, err := s.generation(cfg)
	if err != nil {
		return wrong(err)
	}
	first.legs = append(first.legs, s.trial(cfg))
	if err := s.listen(first); err != nil {
		first.release(ctx)
		return wrong(err)
	}
	if err := a.printChosen(cfg, s.server.Addr()); err != nil {
		log.Warn("print the address of health and metrics", zap.String("address", s.server.Addr()), zap.Error(err))
	}
	err = s.run(ctx, first)
	if err == nil { // else the error is the last word
		log.Info("stopped: what is committed is safe, and the next start goes on from there")
	}
	return err
}

// printChosen prints an address whose port was chosen here, at any log level and in any form.
func (a *app) printChosen(cfg *config.Config, address string) error {
	_, port, err := net.SplitHostPort(cfg.Ops.Listen)
	if err != nil || strings.HasSuffix(address, ":"+port) {
		return err
	}
	scheme := "http"
	if cfg.Ops.TLS != nil {
		scheme = "https"
	}
	_, err = fmt.Fprintf(a.stdout, "Health and metrics at %s://%s\n", scheme, address)
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
	loader, release, err := pipeline.NewLoad(o)
	if err != nil {
		return leg{}, err
	}
	health.Checks = append(health.Checks, health.Horizon(), status.Check{Name: "load", Func: func(context.Context) error {
		if s := loader.Status(); s.LastError != "" {
			return errors.New(s.LastError)
		}
		return nil
	}})
	return leg{"load", loader.Run, func(context.Context) { release() }}, nil
}
