package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"dirtbike/cmd/internal/pipeline"
	"dirtbike/config"
)

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
	cfg, log, err := a.begin()
	if err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" { // garbage is collected before it doubles what the loader, mostly, and chunks hold
		debug.SetMemoryLimit(int64(cfg.ClickHouse.Load.Memory)/8*5 + 64_000_000)
	}
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
	if err == nil { // otherwise the error is printed last
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
	health.Checks = append(health.Checks, health.Horizon(), health.Load(loader.LastError))
	return leg{"load", loader.Run, func(context.Context) { release() }}, nil
}
