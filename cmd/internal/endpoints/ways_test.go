package endpoints

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
)

// curled gives the arguments that the shell gives to curl for the command that an answer prints.
func curled(t *testing.T, body string, environment ...string) []string {
	t.Helper()
	command := regexp.MustCompile(`Try: (curl [^;]*);`).FindStringSubmatch(body)
	require.NotNil(t, command, body)
	shell := exec.CommandContext(t.Context(), "sh", "-c", `curl() { printf '%s\n' "$@"; }; `+command[1])
	shell.Env = append(os.Environ(), environment...)
	out, err := shell.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestWaysIntoTheEndpointsAreTaken: who is not let in is, with what the answer says.
func TestWaysIntoTheEndpointsAreTaken(t *testing.T) {
	const token = "a-token-of-some-length"
	at := "http://" + guarded(t, Guard{Token: token}).Addr()
	code, body, _, err := ask(t, at+"/readyz", "", nil)
	require.NoError(t, err)
	require.Equal(t, 401, code)
	header := curled(t, body, "OPS_TOKEN="+token)
	require.Equal(t, "-H", header[0])
	value, is := strings.CutPrefix(header[1], "Authorization: ")
	require.True(t, is)
	code, _, _, err = ask(t, at+"/readyz", value, nil)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	code, _, _, err = ask(t, at+regexp.MustCompile(`/livez`).FindString(body), "", nil)
	require.NoError(t, err)
	require.Equal(t, 200, code)

	authority, server, client := issued(t)
	server.ClientAuth, server.ClientCAs = tls.VerifyClientCertIfGiven, client.RootCAs
	at = "https://" + guarded(t, Guard{TLS: server}).Addr()
	code, body, _, err = ask(t, at+"/metrics", "", client)
	require.NoError(t, err)
	require.Equal(t, 401, code)
	shown, err := authority.Issue("scraper")
	require.NoError(t, err)
	files := map[string][]byte{"--cert": shown.Cert, "--key": shown.Key}
	arguments, dir := curled(t, body), t.TempDir()
	for i := 0; i < len(arguments); i += 2 {
		require.Equal(t, "FILE", arguments[i+1])
		require.NoError(t, os.WriteFile(filepath.Join(dir, arguments[i]), files[arguments[i]], 0o600))
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "--cert"), filepath.Join(dir, "--key"))
	require.NoError(t, err)
	client.Certificates = []tls.Certificate{pair}
	code, _, _, err = ask(t, at+"/metrics", "", client)
	require.NoError(t, err)
	require.Equal(t, 200, code)
}

// TestWaysOutOfServingAreTaken: another address is listened at, and what cannot be changed is changed by a restart.
func TestWaysOutOfServingAreTaken(t *testing.T) {
	listen := func(at string) error {
		s, err := New(at, nil, func(context.Context) (status.Status, error) { return status.Status{}, nil }, prometheus.NewRegistry())
		if err == nil {
			err = s.listener.Close()
		}
		return err
	}
	s := guarded(t, Guard{})
	for at, ways := range map[string]int{s.Addr(): 2, "203.0.113.7:1": 1, "127.0.0.1:99999": 1} {
		err := listen(at)
		require.Error(t, err)
		require.Len(t, cdc.Explain(err).Try, ways)
		flag := regexp.MustCompile(`--listen (\S+)$`).FindStringSubmatch(cdc.Explain(err).Try[ways-1].Command)
		require.NotNil(t, flag)
		require.NoError(t, listen(flag[1]))
	}
	_, server, client := issued(t)
	require.Equal(t, []cdc.Remedy{{Command: "restart dirtbike"}}, cdc.Explain(s.Protect(Guard{TLS: server})).Try)
	code, _, _, err := ask(t, "https://"+guarded(t, Guard{TLS: server}).Addr()+"/readyz", "", client)
	require.NoError(t, err)
	require.Equal(t, 200, code)
}
