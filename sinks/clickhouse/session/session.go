package session

import (
	"context"
	"maps"
	"slices"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/errcode"
)

// Open opens ClickHouse under the pinned settings; it connects at the first use. Settings of the URL count where they
// are not pinned. o stays as it is.
func Open(o *clickhouse.Options) (driver.Conn, error) {
	ours := quiet(o)
	ours.Settings = clickhouse.Settings{}
	maps.Copy(ours.Settings, o.Settings)
	for name, value := range pinned {
		ours.Settings[name] = value
	}
	return clickhouse.Open(&ours)
}

// quiet gives the options without what the address may ask for: that the client writes all that it does, values
// included, to standard output.
func quiet(o *clickhouse.Options) clickhouse.Options {
	ours := *o
	ours.Debug, ours.Debugf, ours.Logger = false, nil, nil //nolint:staticcheck // an address still sets it
	return ours
}

// Refused reports whether ClickHouse refused a statement because of its settings: the profile of the login does not let
// them be set, or the server does not know one.
func Refused(err error) bool {
	code := errcode.Of(err)
	return code == proto.ErrSettingConstraintViolation || code == proto.ErrReadonly || code == proto.ErrUnknownSetting
}

// Forbidden gives the pinned settings, in order, that the login may not set to the value that we need: it tries each by
// itself. Any other error ends the search.
func Forbidden(ctx context.Context, o *clickhouse.Options) (names []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(pinned)) {
		err := try(ctx, o, name)
		switch {
		case Refused(err):
			names = append(names, name)
		case err != nil && errcode.Of(err) == 0:
			return nil, err
		}
	}
	return names, nil
}

// cutting are settings that cut what a view shows to everybody if the profile of the login that made it has them: they
// count for the view's whole answer, and nothing that the view says of them does (ClickHouse 26.7).
var cutting = []string{"limit", "offset"}

// CheckProfile refuses a login whose profile would cut what the views show to others. Its own sessions, which set
// everything themselves, would not notice.
func CheckProfile(ctx context.Context, o *clickhouse.Options) error {
	for _, name := range cutting {
		cut, err := cuts(ctx, o, name)
		if err != nil {
			return err
		}
		if cut {
			return cdc.Refused("the settings profile of clickhouse.url's user sets %s, so the views that it makes would show others a part of the rows", name).
				Keeps("changes wait in Kafka").Fix("take %s out of the profile, or give the user another one", name)
		}
	}
	return nil
}

// cuts asks for three rows under all pinned settings but one.
func cuts(ctx context.Context, o *clickhouse.Options, name string) (bool, error) {
	one := quiet(o)
	one.Settings = clickhouse.Settings{}
	for other, value := range pinned {
		if other != name {
			one.Settings[other] = value
		}
	}
	one.MaxOpenConns = 1
	conn, err := clickhouse.Open(&one)
	if err != nil {
		return false, err
	}
	defer conn.Close() //nolint:errcheck // nothing is open on it
	rows, err := conn.Query(ctx, "SELECT number FROM numbers(3)")
	if err != nil {
		return false, err
	}
	defer rows.Close() //nolint:errcheck // Err has it
	n := 0
	for rows.Next() {
		n++
	}
	return n != 3, rows.Err()
}

// try runs a statement under one of the pinned settings and the profile's own: these may spoil its answer.
func try(ctx context.Context, o *clickhouse.Options, name string) error {
	one := quiet(o)
	one.Settings = clickhouse.Settings{name: pinned[name]}
	one.MaxOpenConns = 1
	conn, err := clickhouse.Open(&one)
	if err != nil {
		return err
	}
	defer conn.Close()                                                //nolint:errcheck // nothing is open on it
	undated, cancel := context.WithCancel(context.WithoutCancel(ctx)) // of a deadline the client makes a setting
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return conn.Exec(undated, "SELECT 1")
}
