package embedded

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestPostgresVersions(t *testing.T) {
	for out, want := range map[string]string{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": "15",
		"postgres (PostgreSQL) 14.23\n":                          "14",
		"postgres (PostgreSQL) 18.4\n":                           "18",
		"postgres (PostgreSQL) 18beta1\n":                        "18",
		"postgres (PostgreSQL) 17devel\n":                        "17",
	} {
		got, err := parsePostgresVersion(out)
		require.NoError(t, err, out)
		require.Equal(t, want, got)
	}
	for _, out := range []string{"postgres (PostgreSQL) 13.9", "postgres (PostgreSQL) 19.0", "postgres (PostgreSQL) 9.6.24", "pg_ctl 15", ""} {
		_, err := parsePostgresVersion(out)
		require.Error(t, err, out)
	}
}

func TestClickHouseVersions(t *testing.T) {
	for _, out := range []string{
		"ClickHouse local version 26.5.1.882 (official build).\n",
		"ClickHouse local version 26.7.3.11.\n",
		"ClickHouse local version 27.1.1.1 (official build).",
	} {
		require.NoError(t, checkClickHouseVersion(out), out)
	}
	for _, out := range []string{"ClickHouse local version 26.4.9.1 (official build).", "ClickHouse local version 25.12.1.1.", "no clickhouse here"} {
		require.Error(t, checkClickHouseVersion(out), out)
	}
}

// debianPostgres finds a folder with the programs of a packaged Postgres.
func debianPostgres(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	require.NoError(t, err)
	if len(found) == 0 {
		missing(t, "a packaged Postgres", "apt-get install postgresql")
	}
	return filepath.Dir(found[0])
}

// TestEnginesOnPath runs the Postgres of PATH, through a symlink as packages make them.
func TestEnginesOnPath(t *testing.T) {
	bin := debianPostgres(t)
	links := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(bin, "postgres"), filepath.Join(links, "postgres")))
	t.Setenv("PATH", links)
	s := start(t, Options{Dir: t.TempDir(), Engines: enginesPath, Parts: Parts{Postgres: true}})
	usePostgres(t, s.Postgres)
	requirePostgres(t, s.Postgres.URL())
	require.Nil(t, s.ClickHouse)

	err := Prepare(testContext(t), Options{Engines: enginesPath, PostgresVersion: "14", Parts: Parts{Postgres: true}})
	require.Error(t, err, "the one on PATH is newer")
	err = Prepare(testContext(t), Options{Engines: enginesPath, Parts: Parts{ClickHouse: true}})
	requireThreeWays(t, err)
}

func TestProgramsOnPathOfAnotherVersionAreRefused(t *testing.T) {
	dir := t.TempDir()
	script := func(name, answer string) {
		body := "#!/bin/sh\necho '" + answer + "'\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755))
	}
	script("postgres", "postgres (PostgreSQL) 13.1")
	script("clickhouse", "ClickHouse local version 26.4.1.1.")
	t.Setenv("PATH", dir)
	err := Prepare(testContext(t), Options{Engines: enginesPath, Parts: Parts{Postgres: true}})
	require.Error(t, err)
	err = Prepare(testContext(t), Options{Engines: enginesPath, Parts: Parts{ClickHouse: true}})
	require.Error(t, err)
	script("clickhouse", "ClickHouse local version 26.5.1.1.")
	require.NoError(t, Prepare(testContext(t), Options{Engines: enginesPath, Parts: Parts{ClickHouse: true}}))
}

// requireThreeWays: it is one line that ends with the three ways to the engines.
func requireThreeWays(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Regexp(t, `^[^\n]+\. Try: install npm \(Debian: apt-get install npm\)[^;\n]*; or put [^;\n]* on PATH and use --engines=path; or run it in containers: docker compose -f docker/compose\.yaml up$`, err.Error())
}

func TestMissingNPMNamesThreeWays(t *testing.T) {
	t.Setenv("PATH", "")
	err := Prepare(testContext(t), Options{Cache: t.TempDir()})
	requireThreeWays(t, err)
}

func TestOtherPlatformsNameThreeWays(t *testing.T) {
	require.NoError(t, checkPlatform("linux", "amd64"))
	for _, platform := range [][2]string{{"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}} {
		requireThreeWays(t, checkPlatform(platform[0], platform[1]))
	}
}

// TestMissingProgramsLeaveNoDirectory: they are searched before anything is made.
func TestMissingProgramsLeaveNoDirectory(t *testing.T) {
	t.Setenv("PATH", "")
	for _, parts := range []Parts{{}, {Postgres: true}, {ClickHouse: true}} {
		dir := filepath.Join(t.TempDir(), "stack")
		_, err := Start(testContext(t), Options{Dir: dir, Engines: enginesPath, Parts: parts})
		requireThreeWays(t, err)
		require.NoDirExists(t, dir)
	}
}

func TestMissingJavaNamesTheInstallCommand(t *testing.T) {
	t.Setenv("PATH", "")
	err := Prepare(testContext(t), Options{Cache: t.TempDir(), Kafka: kindApache, Parts: Parts{Kafka: true}})
	require.ErrorContains(t, err, "apt-get install openjdk-17-jre-headless maven")
}

// TestEveryPostgresMajor starts each pinned major but the default, which every other test uses.
func TestEveryPostgresMajor(t *testing.T) {
	for _, major := range []string{"14", "15", "16", "17"} {
		t.Run(major, func(t *testing.T) {
			o := Options{
				Dir: t.TempDir(), PostgresVersion: major, Parts: Parts{Postgres: true},
				PostgresSettings: map[string]string{"max_replication_slots": "7"},
			}
			s := start(t, o)
			usePostgres(t, s.Postgres)
			requirePostgres(t, s.Postgres.URL())
			conn, err := pgx.Connect(testContext(t), s.Postgres.URL())
			require.NoError(t, err)
			defer conn.Close(testContext(t))
			var version, slots string
			err = conn.QueryRow(testContext(t), "SELECT current_setting('server_version'), current_setting('max_replication_slots')").Scan(&version, &slots)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(version, major+"."), version)
			require.Equal(t, "7", slots)
		})
	}
}

func requireJava(t *testing.T) {
	t.Helper()
	for tool, install := range map[string]string{"java": "apt-get install openjdk-17-jre-headless", "mvn": "apt-get install maven"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool, install)
		}
	}
}

// TestApacheKafka runs one node through transactions, SIGKILL and a restart.
func TestApacheKafka(t *testing.T) {
	requireJava(t)
	dir := t.TempDir()
	s := start(t, Options{Dir: dir, Kafka: kindApache, Parts: Parts{Kafka: true}})
	useKafka(t, s.Kafka.Brokers())
	require.NoError(t, s.Kafka.Kill())
	require.True(t, portFree(portOf(t, "kafka://"+s.Kafka.Brokers()[0])))
	require.NoError(t, s.Kafka.Start(testContext(t)))
	requireKafka(t, s.Kafka.Brokers())
	require.NoError(t, s.Stop(testContext(t)))
	again := start(t, Options{Dir: dir, Kafka: kindApache, Parts: Parts{Kafka: true}})
	require.Equal(t, s.Kafka.Brokers(), again.Kafka.Brokers())
	requireKafka(t, again.Kafka.Brokers())
}

func TestLoginsNeedApacheKafka(t *testing.T) {
	login := &KafkaLogin{User: "u", Password: "p", KeyStore: "/none"}
	require.NoError(t, Options{Kafka: "apache", KafkaLogin: login}.Check())
	require.ErrorIs(t, Options{KafkaLogin: login}.Check(), ErrOptions, "kfake has no listener for logins")
}
