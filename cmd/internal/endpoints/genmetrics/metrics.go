package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"

	"dirtbike/cmd/internal/pipeline"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"
)

// metric is one line of the table.
type metric struct{ name, kind, labels, help string }

// pipelineYAML is a pipeline that is wired and never connected.
const pipelineYAML = `
source: {url: "postgres://dirtbike@localhost/clinic"}
kafka: {brokers: ["localhost:9092"]}
registry: {url: "http://localhost:8081"}
clickhouse: {url: "clickhouse://dirtbike@localhost:9000"}
`

// metrics wires both legs and lists what they register, ordered by name: also metrics that have no sample before the
// first table is there.
func metrics() ([]metric, error) {
	c, err := config.Parse("genmetrics", []byte(pipelineYAML))
	if err != nil {
		return nil, err
	}
	var r recorder
	o := pipeline.Options{Config: c, Log: zap.NewNop(), Metrics: &r}
	_, release, err := pipeline.NewCapture(o)
	if err != nil {
		return nil, err
	}
	defer release(context.Background())
	if _, _, err := pipeline.NewLoad(o); err != nil {
		return nil, err
	}
	health, err := pipeline.NewHealth(c)
	if err != nil {
		return nil, err
	}
	defer health.Close()
	r.MustRegister(health.Collector())
	pipeline.NewReloads(&r)
	return describe(r.collectors)
}

func describe(collectors []prometheus.Collector) (all []metric, err error) {
	for i := 0; i < len(collectors); i++ {
		c := collectors[i]
		if group, is := c.(interface{ All() []prometheus.Collector }); is {
			collectors = append(collectors, group.All()...)
			continue
		}
		kind, err := kindOf(c)
		if err != nil {
			return nil, err
		}
		for _, d := range descriptions(c) {
			m, err := parse(d)
			if err != nil {
				return nil, err
			}
			m.kind = kind
			if _, mixed := c.(*status.Collector); mixed && strings.HasSuffix(m.name, "_total") {
				m.kind = "counter"
			}
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func descriptions(c prometheus.Collector) (all []*prometheus.Desc) {
	out := make(chan *prometheus.Desc)
	go func() {
		defer close(out)
		c.Describe(out)
	}()
	for d := range out {
		all = append(all, d)
	}
	return all
}

// kindOf gives the type of a collector's metrics.
func kindOf(c prometheus.Collector) (string, error) {
	switch c := c.(type) {
	case *prometheus.CounterVec:
		return "counter", nil
	case *prometheus.GaugeVec, *status.Collector: // but for its counters, see describe
		return "gauge", nil
	case *prometheus.HistogramVec:
		return "histogram", nil
	case prometheus.Metric:
		var sample dto.Metric
		if err := c.Write(&sample); err != nil {
			return "", err
		}
		switch {
		case sample.Counter != nil:
			return "counter", nil
		case sample.Gauge != nil:
			return "gauge", nil
		case sample.Histogram != nil:
			return "histogram", nil
		}
	}
	return "", fmt.Errorf("what are the metrics of a %T? Try: a case in kindOf", c)
}

// description is how prometheus.Desc prints itself; its fields cannot be read in another way.
var description = regexp.MustCompile(`^Desc\{fqName: (".*"), help: (".*"), unit: ".*", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

func parse(d *prometheus.Desc) (m metric, err error) {
	found := description.FindStringSubmatch(d.String())
	if found == nil {
		return m, fmt.Errorf("cannot read %s", d)
	}
	if m.name, err = strconv.Unquote(found[1]); err != nil {
		return m, err
	}
	m.labels = found[3]
	m.help, err = strconv.Unquote(found[2])
	return m, err
}

// recorder keeps what is registered.
type recorder struct{ collectors []prometheus.Collector }

var _ prometheus.Registerer = (*recorder)(nil)

// Register implements prometheus.Registerer.
func (r *recorder) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return nil
}

// MustRegister implements prometheus.Registerer.
func (r *recorder) MustRegister(all ...prometheus.Collector) {
	r.collectors = append(r.collectors, all...)
}

// Unregister implements prometheus.Registerer; the table is made before anything is taken away.
func (r *recorder) Unregister(prometheus.Collector) bool { return false }
