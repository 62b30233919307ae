package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/endpoints"
	"dirtbike/cmd/internal/exposure"
	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"
)

// service is what runs all the time: the endpoints, and one generation of legs after the other, each with its config.
type service struct {
	app           *app
	log           *zap.Logger
	capture, load bool
	hangups       <-chan os.Signal
	pace          *rate.Limiter        // of hangups
	metrics       *prometheus.Registry // of all generations
	reloads       pipeline.Reloads
	server        *endpoints.Server
}

func newService(a *app, log *zap.Logger, capture, load bool, hangups <-chan os.Signal) *service {
	s := &service{app: a, log: log, capture: capture, load: load, hangups: hangups, pace: pace(), metrics: prometheus.NewRegistry()}
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.reloads = pipeline.NewReloads(s.metrics)
	return s
}

// generation is the legs under one config, and what is known of them.
type generation struct {
	config    *config.Config
	guard     endpoints.Guard
	legs      []leg
	health    *pipeline.Health
	collector *status.Collector
	metrics   *prometheus.Registry
}

// generation wires the legs; nothing is connected yet.
func (s *service) generation(c *config.Config) (g *generation, err error) {
	g = &generation{config: c, metrics: prometheus.NewRegistry()}
	if g.guard, err = s.guard(c); err != nil {
		return nil, err
	}
	if g.health, err = pipeline.NewHealth(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			g.release(context.Background())
		}
	}()
	// A server that does not answer is an error only at the start.
	o := pipeline.Options{Config: c, Log: s.log, Metrics: g.metrics, Fault: s.app.fault, Patient: s.server != nil}
	for _, of := range []struct {
		wanted bool
		wire   func(pipeline.Options, *pipeline.Health) (leg, error)
	}{{s.capture, captureLeg}, {s.load, loadLeg}} {
		if of.wanted {
			l, err := of.wire(o, g.health)
			if err != nil {
				return nil, err
			}
			g.legs = append(g.legs, l)
		}
	}
	for _, p := range exposure.Problems(c) {
		s.log.Warn(p.Error())
	}
	g.collector = g.health.Collector()
	return g, g.metrics.Register(g.collector)
}

func (s *service) guard(c *config.Config) (endpoints.Guard, error) {
	tls, err := c.Ops.TLS.Server()
	if err != nil {
		return endpoints.Guard{}, fmt.Errorf("ops.%w", err)
	}
	return endpoints.Guard{Token: c.Ops.Token.Reveal(), TLS: tls, Log: s.log.Named("endpoints")}, nil
}

// listen opens the endpoints, which show the generation from then on.
func (s *service) listen(g *generation) (err error) {
	if s.server, err = endpoints.New(g.config.Ops.Listen, nil, nil, s.metrics); err != nil {
		return err
	}
	s.server.Word = s.app.advice
	s.log.Info("health and metrics", zap.String("address", s.server.Addr()))
	return s.show(g)
}

// show makes the endpoints answer for the generation, and require its token.
func (s *service) show(g *generation) error {
	s.server.Show(append(g.collector.Checks(), g.health.Checks...), g.collector.Whole, prometheus.Gatherers{s.metrics, g.metrics})
	return s.server.Protect(g.guard)
}

// run serves, and runs generations, until ctx ends or a leg needs a decision.
func (s *service) run(ctx context.Context, first *generation) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.server.Run(ctx) })
	group.Go(func() error { return s.generations(ctx, first) })
	return group.Wait()
}

func (s *service) generations(ctx context.Context, g *generation) error {
	for {
		next, err := s.until(ctx, g)
		if next != nil {
			err = s.show(next)
		}
		g.release(ctx)
		if next == nil || err != nil {
			return err
		}
		s.log.Info("logged in again: capture and load go on from where they were", zap.String("config", next.config.Path()))
		s.reloads.Applied.Inc()
		g = next
	}
}

// until runs a generation until ctx or a leg ends, or another is to follow: then its legs have ended as at SIGTERM.
func (s *service) until(ctx context.Context, g *generation) (next *generation, err error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.run(running) }()
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-s.hangups:
			if next = s.reload(ctx, g); next == nil {
				continue
			}
			stop()
			err := <-ended // may be a refusal of the old login
			if ctx.Err() != nil || err != nil && !errors.Is(err, cdc.ErrRefused) {
				next.release(ctx)
				return nil, err
			}
			return next, nil
		}
	}
}

// hangupRest is the least time between two hangups that are worked on.
const hangupRest = time.Second

func pace() *rate.Limiter { return rate.NewLimiter(rate.Every(hangupRest), 1) }

// rest waits until another hangup may be worked on, for all that come meanwhile: the last is never lost.
func (s *service) rest(ctx context.Context) {
	_ = s.pace.Wait(ctx) // the caller asks ctx
	select {
	case <-s.hangups:
	default:
	}
}

// reload reads the config again and tries it; nil if it is wrong, which is logged, or ctx has ended.
func (s *service) reload(ctx context.Context, was *generation) *generation {
	s.rest(ctx)
	next, err := s.prepare(ctx, was)
	if ctx.Err() != nil { // SIGTERM meanwhile
		if next != nil {
			next.release(ctx)
		}
		return nil
	}
	if err != nil {
		if several := (config.Errors)(nil); errors.As(err, &several) {
			err = cdc.Together(several.Unwrap()...)
		}
		s.reloads.Refused.Inc()
		s.log.Error("SIGHUP: the config was read again and is not taken over; everything goes on as before", zap.String("error", cdc.Explain(err).Error()))
	}
	return next
}

// prepare reads the config, logs in to every part once, and wires the legs.
func (s *service) prepare(ctx context.Context, was *generation) (*generation, error) {
	c, err := s.app.config()
	if err != nil {
		return nil, err
	}
	if err := pipeline.CheckRotation(was.config, c); err != nil {
		return nil, err
	}
	if err := pipeline.Login(ctx, c, s.parts()); err != nil {
		return nil, err
	}
	return s.generation(c)
}

// parts are the servers that the legs need.
func (s *service) parts() pipeline.Parts {
	return pipeline.Parts{Postgres: s.capture, Kafka: true, Registry: true, ClickHouse: s.load}
}

// trial is a leg of the first generation that ends the start if a part refuses the login. Capture's own preflight asks
// Postgres and Kafka already. For a part that does not answer it waits.
func (s *service) trial(c *config.Config) leg {
	parts := s.parts()
	parts.Postgres, parts.Kafka = false, !s.capture
	return leg{"start", func(ctx context.Context) error {
		if err := pipeline.Login(ctx, c, parts); errors.Is(err, cdc.ErrRefused) {
			return err
		}
		return nil
	}, func(context.Context) {}}
}

// run runs the legs until ctx or one of them ends; then the other ends too, so that a supervisor sees it.
func (g *generation) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range g.legs {
		group.Go(func() error {
			if err := l.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// release closes what the legs and the checks hold outside of run.
func (g *generation) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, l := range g.legs {
		l.stop(ctx)
	}
	g.health.Close()
}
