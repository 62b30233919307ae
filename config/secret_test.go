package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"dirtbike/config"
)

const canary = "canary-5f1d"

// wrapped holds secrets in every way that printing could reach them.
type wrapped struct {
	Public  config.Secret
	private config.Secret
	Pointer *config.Secret
	List    []config.Secret
	Map     map[string]config.Secret
}

func canaries() wrapped {
	s := config.NewSecret(canary)
	return wrapped{Public: s, private: s, Pointer: &s, List: []config.Secret{s}, Map: map[string]config.Secret{"k": s}}
}

func TestSecretNeverPrints(t *testing.T) {
	w := canaries()
	var printed bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T", "%10.3s"} {
		fmt.Fprintf(&printed, verb+"\n", w)
		fmt.Fprintf(&printed, verb+"\n", &w)
		fmt.Fprintf(&printed, verb+"\n", w.Public)
		fmt.Fprintf(&printed, verb+"\n", w.private)
	}
	fmt.Fprintln(&printed, w, w.Public, fmt.Errorf("wrapped: %v", w.Public))
	requireHidden(t, printed.Bytes())
}

func TestSecretNeverMarshals(t *testing.T) {
	w := canaries()
	asJSON, err := json.Marshal(w)
	require.NoError(t, err)
	requireHidden(t, asJSON)
	asYAML, err := yaml.Marshal(w)
	require.NoError(t, err)
	requireHidden(t, asYAML)
	asText, err := w.Public.MarshalText()
	require.NoError(t, err)
	requireHidden(t, asText)
}

func TestSecretNeverLogs(t *testing.T) {
	w := canaries()
	for name, encoder := range map[string]zapcore.Encoder{
		"json":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		"console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&out), zap.DebugLevel))
			log.Info("x", zap.Any("any", w), zap.Any("one", w.Public), zap.Stringer("s", w.Public), zap.Reflect("r", w.Map))
			log.Sugar().Infow("x", "w", w, "s", w.Public)
			log.Sugar().Infof("%v %+v %#v", w, w, w)
			requireHidden(t, out.Bytes())
		})
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "w", w, "s", w.Public)
	requireHidden(t, out.Bytes())
}

func TestWholeConfigNeverPrintsSecrets(t *testing.T) {
	t.Setenv("CANARY", canary)
	cfg := parse(t, `
source: {url: "postgres://u:${env:CANARY}@h/d"}
kafka: {brokers: ["k:9092"], tls: {cert: a, key: "${env:CANARY}"}, sasl: {mechanism: PLAIN, user: u, password: "${env:CANARY}"}}
registry: {url: "http://u:${env:CANARY}@r:8081", user: u, password: "${env:CANARY}"}
clickhouse: {url: "clickhouse://u:${env:CANARY}@c:9000"}
privacy: {hash: {keys: {k1: "${env:CANARY}-${env:CANARY}"}}}
`)
	asJSON, err := json.Marshal(cfg)
	require.NoError(t, err)
	asYAML, err := yaml.Marshal(cfg)
	require.NoError(t, err)
	requireHidden(t, asJSON)
	requireHidden(t, asYAML)
	requireHidden(t, fmt.Appendf(nil, "%v %+v %#v %v %+v %#v", cfg, cfg, cfg, *cfg, *cfg, *cfg))
}

func requireHidden(t *testing.T, printed []byte) {
	t.Helper()
	require.NotContains(t, string(printed), canary)
	require.NotContains(t, string(printed), fmt.Sprintf("%x", canary))
	require.NotContains(t, string(printed), fmt.Sprintf("%X", canary))
	require.Contains(t, string(printed), "***")
}

func TestZeroSecret(t *testing.T) {
	var none config.Secret
	require.True(t, none.IsZero())
	require.Empty(t, none.Reveal())
	require.False(t, config.NewSecret("x").IsZero())
}
