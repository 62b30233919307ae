package wait

import (
	"context"
	"sync"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
)

// Part is a server without which nothing becomes complete.
type Part struct {
	// Name of the server, and what to do while it is away.
	Name, Try string
	// Ping asks it for anything. It is called by one goroutine, and given up after a few seconds.
	Ping func(context.Context) error
}

const (
	// pingEvery is how long a wait lasts before the parts are asked, and how far apart the pings are; pingTime is how
	// long an answer may take.
	pingEvery = 2 * time.Second
	pingTime  = 3 * time.Second
	// silentFor is how long a part is away before that is said, sayEvery how far apart two lines about it are.
	silentFor = 3 * time.Second
	sayEvery  = 30 * time.Second
)

// watchParts says which parts do not answer, and since when, until the function that it gives is called. say is called
// by one goroutine at a time, and never afterwards; nil asks nothing.
func watchParts(ctx context.Context, parts []Part, say func(line string)) (done func()) {
	if say == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var one sync.Mutex
	var watching sync.WaitGroup
	for _, p := range parts {
		watching.Go(func() {
			(&away{Part: p, say: func(p *cdc.Problem) {
				one.Lock()
				defer one.Unlock()
				say(p.Error())
			}}).watch(ctx)
		})
	}
	return func() { cancel(); watching.Wait() }
}

// away is a part that is asked again and again.
type away struct {
	Part
	say func(*cdc.Problem)
	// since is when the first question was asked that got no answer, said when that was last said; zero for never.
	since, said time.Time
}

func (a *away) watch(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		asking, cancel := context.WithTimeout(ctx, pingTime)
		err := status.Answers(asking, a.Ping)
		if err != nil && asking.Err() != nil {
			err = cdc.Failed("nothing within %s", pingTime)
		}
		cancel()
		if ctx.Err() == nil {
			a.heard(err, began)
		}
	}
}

// heard takes the answer to a question that was asked at began.
func (a *away) heard(err error, began time.Time) {
	now := time.Now()
	if err == nil {
		if !a.said.IsZero() {
			a.say(cdc.Failed("%s answers again", a.Name))
		}
		a.since, a.said = time.Time{}, time.Time{}
		return
	}
	if a.since.IsZero() {
		a.since = began
	}
	if now.Sub(a.since) < silentFor || !a.said.IsZero() && now.Sub(a.said) < sayEvery {
		return
	}
	a.said = now
	p := cdc.Failed("%s has not answered since %s", a.Name, a.since.UTC().Format(time.RFC3339)).Because(err).Keeps("The wait goes on")
	a.say(p.OrFix("%s", a.Try))
}
