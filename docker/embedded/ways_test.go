package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// wayOf gives the way out of an error: what it ends with.
func wayOf(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	_, way, found := strings.Cut(err.Error(), ". Try: ")
	require.True(t, found, "%v", err)
	return way
}

// alternatives are the words between which a way out leaves the choice.
func alternatives(way string) []string { return regexp.MustCompile(`, or | or |, `).Split(way, -1) }

// TestWaysOutOfOptionsAreTaken: each value that the error names is accepted.
func TestWaysOutOfOptionsAreTaken(t *testing.T) {
	for _, c := range []struct {
		wrong Options
		says  string
		set   func(o *Options, value string)
	}{
		{Options{Engines: "docker"}, "npm or path", func(o *Options, value string) { o.Engines = value }},
		{Options{Kafka: "redpanda"}, "kfake or apache", func(o *Options, value string) { o.Kafka = value }},
		{Options{KafkaLogin: &KafkaLogin{}}, "apache", func(o *Options, value string) { o.Kafka = value }},
		{Options{PostgresVersion: "13"}, "one of 14, 15, 16, 17, 18", func(o *Options, value string) { o.PostgresVersion = strings.TrimPrefix(value, "one of ") }},
	} {
		way := wayOf(t, c.wrong.Check())
		require.Equal(t, c.says, way)
		for _, value := range alternatives(way) {
			fixed := c.wrong
			c.set(&fixed, value)
			require.NoError(t, fixed.Check(), value)
		}
	}
}

// TestWaysOutOfDirectoriesAreTaken: a directory that the stack refuses is another one, or is free again.
func TestWaysOutOfDirectoriesAreTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	const fresh = "--dir with a new or empty directory"
	for dir, says := range map[string]string{
		"": "--dir DIR", "-": "--dir DIR", file: fresh, filepath.Dir(file): fresh,
		"/proc/x": fresh + ", at a place where this user may write", file + "/x": fresh + ", at a place where this user may write",
	} {
		_, err := openDir(dir)
		require.Equal(t, says, wayOf(t, err), dir)
	}
	empty, missing := t.TempDir(), filepath.Join(t.TempDir(), "DIR")
	for _, dir := range []string{empty, missing} {
		d, err := openDir(dir)
		require.NoError(t, err)
		_, err = openDir(dir)
		require.Equal(t, []string{"stop it", "another --dir"}, alternatives(wayOf(t, err)))
		require.NoError(t, d.close())
		d, err = openDir(dir)
		require.NoError(t, err)
		require.NoError(t, d.close())
	}
	require.Equal(t, "--dir with the directory that `dirtbike embedded` was given", wayOf(t, Clean(filepath.Dir(file))))
	require.NoError(t, Clean(missing))
	require.NoDirExists(t, missing)
}

// TestADirectoryIsStartedAsWhatItWasMadeFor: who names nothing gets what is there, and who names something else is
// told what to name.
func TestADirectoryIsStartedAsWhatItWasMadeFor(t *testing.T) {
	d, err := openDir(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, d.close()) }()
	d.state.PostgresMajor, d.state.Kafka = "17", kindApache
	for _, o := range []Options{{PostgresVersion: "18", Kafka: kindApache}, {Kafka: kindKfake}} {
		o.Parts = Parts{Postgres: true, Kafka: true}
		way := wayOf(t, d.remember(o))
		flag := regexp.MustCompile(`^--(\w+) (\w+), or another --dir$`).FindStringSubmatch(way)
		require.NotNil(t, flag, way)
		switch flag[1] {
		case "postgres":
			o.PostgresVersion = flag[2]
		case "kafka":
			o.Kafka = flag[2]
		}
		require.NoError(t, d.remember(o), way)
	}
}

// TestWaysOutOfTheCacheAreTaken sets DIRTBIKE_CACHE, as the error says.
func TestWaysOutOfTheCacheAreTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	fill := func() error {
		c, err := newCache(Options{})
		if err == nil {
			err = c.create()
		}
		if err != nil {
			return err
		}
		lock, err := c.lock(testContext(t), "x")
		if err == nil {
			err = lock.Close()
		}
		return err
	}
	good := t.TempDir()
	for _, bad := range []string{filepath.Join(file, "cache"), file} { // it cannot be made, and cannot be locked
		t.Setenv("DIRTBIKE_CACHE", bad)
		require.Equal(t, "set DIRTBIKE_CACHE to a folder you can write", wayOf(t, fill()))
		t.Setenv("DIRTBIKE_CACHE", good)
		require.NoError(t, fill())
	}
}

// TestWaysOutOfProgramsAreTaken: another PATH, as the error says, has the programs; the command that it names shows why
// one of them did not answer.
func TestWaysOutOfProgramsAreTaken(t *testing.T) {
	folder := func(scripts map[string]string) string {
		dir := t.TempDir()
		for name, body := range scripts {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755))
		}
		return dir
	}
	says := func(answer string) string { return "echo '" + answer + "'" }
	const seventeen = "postgres (PostgreSQL) 17.2"
	whole := folder(map[string]string{"postgres": says(seventeen), "initdb": "", "clickhouse": says("ClickHouse local version 26.5.1.1.")})
	postgres := func() error {
		return Prepare(testContext(t), Options{Engines: enginesPath, PostgresVersion: "17", Parts: Parts{Postgres: true}})
	}
	clickHouse := func() error {
		return Prepare(testContext(t), Options{Engines: enginesPath, Parts: Parts{ClickHouse: true}})
	}
	for name, c := range map[string]struct {
		scripts map[string]string
		ask     func() error
		says    string
	}{
		"no version":     {map[string]string{"postgres": says("hello")}, postgres, `^another PATH$`},
		"another":        {map[string]string{"postgres": says("postgres (PostgreSQL) 16.4")}, postgres, `^another PATH$`},
		"too old":        {map[string]string{"postgres": says("postgres (PostgreSQL) 13.1")}, postgres, `^one of .*\b17\b`},
		"no initdb":      {map[string]string{"postgres": says(seventeen)}, postgres, `^a PATH with a whole server, like /`},
		"it fails":       {map[string]string{"postgres": "echo broken >&2; exit 3"}, postgres, `^\S+/postgres --version$`},
		"old ClickHouse": {map[string]string{"clickhouse": says("ClickHouse local version 26.4.1.1.")}, clickHouse, `^26\.5 or newer$`},
		"no ClickHouse":  {map[string]string{"clickhouse": says("hello")}, clickHouse, `^another PATH$`},
		"that fails":     {map[string]string{"clickhouse": "echo broken >&2; exit 3"}, clickHouse, `^\S+/clickhouse local --version$`},
	} {
		t.Setenv("PATH", folder(c.scripts))
		way := wayOf(t, c.ask())
		require.Regexp(t, c.says, way, name)
		if strings.HasSuffix(way, " --version") {
			out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", way).CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), "broken", "it shows why")
		}
		t.Setenv("PATH", whole)
		require.NoError(t, c.ask(), name)
	}
}

// TestWaysOutOfApacheKafkaAreTaken: without Java it is kfake, and the download is made again.
func TestWaysOutOfApacheKafkaAreTaken(t *testing.T) {
	t.Setenv("PATH", "")
	way := wayOf(t, checkJava("java"))
	require.Equal(t, "apt-get install openjdk-17-jre-headless maven; or --kafka kfake", way)
	o := Options{Kafka: regexp.MustCompile(`--kafka (\w+)`).FindStringSubmatch(way)[1], Cache: t.TempDir(), Parts: Parts{Kafka: true}}
	require.NoError(t, Prepare(testContext(t), o))

	dir := t.TempDir()
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	for tool, download := range map[string]func() error{
		"mvn": func() error { return mavenInstall(testContext(t), t.TempDir()) },
		"npm": func() error { return npmInstall(testContext(t), "clickhouse", t.TempDir()) },
	} {
		path := filepath.Join(dir, tool)
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho no network >&2\nexit 1\n"), 0o755))
		err := download()
		require.Regexp(t, "^again, with a network that reaches the (Maven repository|npm registry)$", wayOf(t, err))
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexit 0\n"), 0o755))
		if err := download(); tool == "npm" {
			require.NoError(t, err)
		} else {
			require.NotContains(t, fmt.Sprint(err), "network", "what it brought is compared with its checksums next")
		}
	}
}

// TestWaysOutOfAStartAreTaken: what listens at the broker's port is ended, and the log that is named has the reason.
func TestWaysOutOfAStartAreTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	reached := errors.New("the port is free")
	k := newKafka(listener.Addr().(*net.TCPAddr).Port, 0, zap.NewNop(), func(context.Context) (spec, error) { return spec{}, reached })
	_, err = k.launch(testContext(t))
	require.Equal(t, "end what listens there", wayOf(t, err))
	require.NoError(t, listener.Close())
	_, err = k.launch(testContext(t))
	require.ErrorIs(t, err, reached)

	log := filepath.Join(t.TempDir(), "broker.log")
	c, err := spawn(spec{name: "broker", path: "/bin/sh", args: []string{"-c", "echo why it ended; echo and more; exit 1"}, env: os.Environ(), log: log})
	require.NoError(t, err)
	<-c.done
	read, err := os.ReadFile(strings.TrimPrefix(wayOf(t, c.exitError()), "read "))
	require.NoError(t, err)
	require.Contains(t, string(read), "why it ended")
}
