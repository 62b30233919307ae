package bench

import (
	"context"
	"errors"

	"dirtbike/docker/embedded"
)

// start runs a verb of a build in a process of its own, with its log next to the config.
func start(ctx context.Context, binary, verb, config string, args ...string) (*embedded.Process, error) {
	args = append([]string{verb, "--config", config, "--log-format", "json", "--log-level", "warn"}, args...)
	return embedded.StartProcess(ctx, "dirtbike "+verb, config+"."+verb+".log", binary, args...)
}

// stop ends a process of dirtbike and gives its peak memory.
func stop(p *embedded.Process) (peak int64, err error) {
	if err := p.Ended(); err != nil {
		return 0, err
	}
	peak, err = PeakMemory(p.PID())
	return peak, errors.Join(err, p.Stop(context.Background()), p.Wait(context.Background()))
}
