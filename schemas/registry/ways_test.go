package registry

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"dirtbike/cdc"
)

// wayOf gives the only way out of an error.
func wayOf(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	require.Len(t, cdc.Explain(err).Try, 1, "%v", err)
	return cdc.Explain(err).Try[0].Command
}

// TestWaysOutOfSettingsAreTaken: what the error says about registry.url, user and password is changed, and nothing
// else: the schema is registered.
func TestWaysOutOfSettingsAreTaken(t *testing.T) {
	fake, _ := newFake(t)
	secret, _ := newFake(t, srfake.WithAuth("Basic bG9hZGVyOnMzY3JldA=="))
	page := served(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome</html>")) }))
	long := served(t, endless(maxAnswer+1))
	moved := served(t, http.RedirectHandler(fake.URL()+"/subjects/"+subject+"/versions", http.StatusTemporaryRedirect))
	loop := served(t, http.RedirectHandler("/", http.StatusTemporaryRedirect))
	secure := httptest.NewTLSServer(fake.Handler())
	t.Cleanup(secure.Close)
	trusting := short
	trusting.TLS = secure.Client().Transport.(*http.Transport).TLSClientConfig
	const (
		ofARegistry = "check that registry.url is that of a schema registry, and not of something in front of it"
		noRedirect  = "set registry.url to an address that answers without a redirect"
	)
	login := short
	login.User, login.Password = "loader", "s3cret"
	for _, c := range []struct {
		at, says, then string
		options        Options
	}{
		{secret.URL(), "check registry.user and registry.password, and the rights of that user", secret.URL(), login},
		{page.URL, ofARegistry, fake.URL(), short},
		{long.URL, ofARegistry, fake.URL(), short},
		{moved.URL, noRedirect, fake.URL(), short},
		{loop.URL, noRedirect, fake.URL(), short},
		{secure.URL, "", secure.URL, trusting},
	} {
		_, err := newClient(t, short, c.at).Register(t.Context(), subject, schema)
		if says := wayOf(t, err); c.says != "" {
			require.Equal(t, c.says, says)
		} else { // what cdc.TLSWayOut says
			require.Contains(t, says, "registry.tls.ca")
		}
		_, err = newClient(t, c.options, c.then).Register(t.Context(), subject, schema)
		require.NoError(t, err, c.says)
	}
	_, err := New([]string{"registry:8081"}, short)
	newClient(t, short, wayOf(t, err))
	_, err = New(nil, short)
	newClient(t, short, regexp.MustCompile(`^registry: \{url: "(.*)"\}$`).FindStringSubmatch(wayOf(t, err))[1])
}

// TestWaysOutOfAnAbsentRegistryAreTaken: the registry runs, or is the one that the topics were written with.
func TestWaysOutOfAnAbsentRegistryAreTaken(t *testing.T) {
	fake, _ := newFake(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := listener.Addr().String()
	require.NoError(t, listener.Close())
	client := newClient(t, short, "http://"+at)
	_, err = client.Register(t.Context(), subject, schema)
	require.Equal(t, "check that registry.url is right and the registry runs", wayOf(t, err))
	listener, err = net.Listen("tcp", at)
	require.NoError(t, err)
	back := &http.Server{Handler: fake.Handler()}
	go func() { _ = back.Serve(listener) }()
	t.Cleanup(func() { _ = back.Close() })
	id, err := client.Register(t.Context(), subject, schema)
	require.NoError(t, err)

	other, _ := newFake(t)
	_, err = newClient(t, short, other.URL()).Schema(t.Context(), id)
	require.Equal(t, sameRegistry, wayOf(t, err))
	_, err = newClient(t, short, fake.URL()).Schema(t.Context(), id)
	require.NoError(t, err)
}

// TestADeletedSubject: a registry that keeps a deleted subject, and takes no schema for it, is told to forget it.
func TestADeletedSubject(t *testing.T) {
	fake, _ := newFake(t)
	_, err := newClient(t, short, fake.URL()).Register(t.Context(), subject, schema)
	require.NoError(t, err)
	remove := func(at string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, at, nil)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	remove(fake.URL() + "/subjects/" + subject)
	client := newClient(t, short, fake.URL())
	_, err = client.Register(t.Context(), subject, schema)
	require.NotNil(t, cdc.OfOneTable(err))
	require.False(t, cdc.OfOneTable(err).Shared || cdc.OfOneTable(err).Lasting, "its table waits")
	way := regexp.MustCompile(`curl -X DELETE '(\S+)'$`).FindStringSubmatch(wayOf(t, err))
	remove(way[1])
	_, err = client.Register(t.Context(), subject, schema)
	require.NoError(t, err)
}

// TestWaysOutOfASubjectAreTaken: the setting that the error names is changed at the registry, as its administrator
// does, and the same client registers the schema.
func TestWaysOutOfASubjectAreTaken(t *testing.T) {
	fake, _ := newFake(t)
	var rule atomic.Bool
	setting := func(path, key string) string {
		answer := httptest.NewRecorder()
		fake.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		var settings map[string]string
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &settings))
		return settings[key]
	}
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/versions") {
			return false
		}
		of := strings.Split(r.URL.Path, "/")[2]
		switch {
		case strings.HasPrefix(of, "readonly") && setting("/mode/"+of, "mode") != "READWRITE":
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"error_code":42205,"message":"Subject is in read-only mode"}`))
		case strings.HasPrefix(of, "strict") && setting("/config/"+of, "compatibilityLevel") != "NONE":
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"error_code":409,"message":"not compatible"}`))
		case strings.HasPrefix(of, "ruled") && rule.Load():
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"error_code":42201,"message":"against the rules"}`))
		default:
			return false
		}
		return true
	})
	client := newClient(t, short, fake.URL())
	for name, c := range map[string]struct {
		says  string
		apply func(subject, value string)
	}{
		"readonly": {`^set its mode, or that of subject (\S+), back to (\w+)$`, func(of, value string) {
			var mode sr.Mode
			require.NoError(t, mode.UnmarshalText([]byte(value)))
			require.NoError(t, client.sr.SetMode(t.Context(), mode, of)[0].Err)
		}},
		"strict": {`^set the compatibility of subject (\S+) to (\w+) at the registry$`, func(of, value string) {
			var level sr.CompatibilityLevel
			require.NoError(t, level.UnmarshalText([]byte(value)))
			require.NoError(t, client.sr.SetCompatibility(t.Context(), sr.SetCompatibility{Level: level}, of)[0].Err)
		}},
		"ruled": {`^check the registry's version, and the (rules) for subject (\S+)$`, func(_, of string) {
			require.Equal(t, "ruled-value", of)
			rule.Store(false)
		}},
	} {
		rule.Store(true)
		if name == "readonly" {
			require.NoError(t, client.sr.SetMode(t.Context(), sr.ModeReadOnly, name+"-value")[0].Err)
		}
		_, err := client.Register(t.Context(), name+"-value", schema)
		m := regexp.MustCompile(c.says).FindStringSubmatch(wayOf(t, err))
		require.NotNil(t, m, "%v", err)
		c.apply(m[1], m[2])
		_, err = client.Register(t.Context(), name+"-value", schema)
		require.NoError(t, err, name)
	}
}
