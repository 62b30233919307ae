package main

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/oracle"
	"dirtbike/schemas"
)

// equal fails the test unless ClickHouse equals Postgres row by row, by code that shares nothing with the pipeline.
func (r *rig) equal(o oracle.Options) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Minute)
	defer cancel()
	report, err := oracle.CompareAll(ctx, r.url, r.stack.ClickHouse.URL(), r.name, o)
	require.NoError(r, err)
	require.True(r, report.Equal(), "%s", report)
}

// changeLog begins an independent list of what is committed.
func (r *rig) changeLog() *oracle.ChangeLog {
	r.Helper()
	log, err := oracle.StartChangeLog(r.Context(), r.pg(), r.name+"_oracle")
	require.NoError(r, err)
	return log
}

// exactlyOnce fails the test unless the topics hold every change of the log exactly once, in order. pipelineStart is
// the consistent point of the pipeline's own slot.
func (r *rig) exactlyOnce(log *oracle.ChangeLog, pipelineStart uint64, tables []string, published func(string) bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Minute)
	defer cancel()
	changes, err := log.Read(ctx, r.pg())
	require.NoError(r, err)
	topics := []string{schemas.ControlTopic(r.name)}
	for _, t := range tables {
		topics = append(topics, r.name+"."+t)
	}
	records, err := oracle.ReadTopics(ctx, r.stack.Kafka.Brokers(), r.stack.Registry.URL(), topics)
	require.NoError(r, err)
	err = oracle.CheckExactlyOnce(changes, records, oracle.CheckOptions{
		Tables: tables, Prefix: r.name, Since: max(log.Start, pipelineStart), Published: published,
	})
	require.NoError(r, err)
	r.Logf("%d changes and %d records agree", len(changes), len(records))
}

// equalAll is equal for a pipeline that captures every table of schema public.
func (r *rig) equalAll() {
	r.Helper()
	r.equal(oracle.Options{})
}
