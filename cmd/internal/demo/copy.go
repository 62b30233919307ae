package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"dirtbike/cmd/internal/ops"
)

// copyTimeout bounds the first copy: a million rows take seconds, a much slower machine is told to look at the logs.
const copyTimeout = 5 * time.Minute

// copy shows the first copy until every table can be queried in ClickHouse.
func (d *demo) copy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	bars := d.screen.bars("Copying it into ClickHouse, through Kafka, while it stays in use")
	defer bars.close()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the first copy did not end (%w). Try: look into %s and %s", ctx.Err(), d.capture.log, d.load.log)
		case <-ticker.C:
		}
		if err := d.healthy(); err != nil {
			return err
		}
		status, err := d.status(ctx)
		if err != nil {
			continue // not listening yet
		}
		if d.showCopy(bars, status) {
			return nil
		}
	}
}

// showCopy moves the bars and reports whether every table is exact in ClickHouse.
func (d *demo) showCopy(bars *bars, status ops.Status) bool {
	exact := 0
	for _, t := range status.Tables {
		bars.set(t.Table, t.Rows, max(d.rows[t.Table], t.Rows))
		if t.Exact {
			exact++
		}
	}
	return exact > 0 && exact == len(status.Tables) && exact >= len(d.rows)
}

// status asks the capture leg's ops endpoint.
func (d *demo) status(ctx context.Context) (ops.Status, error) {
	var out ops.Status
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.ops+"/status", nil)
	if err != nil {
		return out, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return out, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return out, fmt.Errorf("status: %s", response.Status)
	}
	return out, json.NewDecoder(response.Body).Decode(&out)
}
