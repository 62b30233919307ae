package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"dirtbike/cmd/internal/wait"
)

// copyTimeout bounds the first copy: a million rows take seconds, on a much slower machine the error names the logs.
const copyTimeout = 5 * time.Minute

// copy shows the first copy until every table can be queried in ClickHouse.
func (d *demo) copy(ctx context.Context) error {
	copying, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	rows := int64(0)
	for _, n := range d.rows {
		rows += n
	}
	bars := d.screen.bars("Copying it into ClickHouse, through Kafka", rows)
	defer bars.close()
	for _, table := range d.order {
		bars.set(table, 0, d.rows[table])
	}
	err := wait.Every(copying, drawEvery, func() (bool, error) {
		if err := d.healthy(); err != nil {
			return false, err
		}
		status, err := d.status(copying)
		return err == nil && d.showCopy(bars, status), nil // an error: it does not listen yet
	})
	switch {
	case err == nil:
		bars.finish()
	case copying.Err() != nil:
		return cdc.Failed("the first copy has not ended after %s", copyTimeout).Because(err).Fix("run the demo with --dir DIR and read DIR/capture.log and DIR/load.log")
	}
	return err
}

// showCopy moves the bars and reports whether every table is exact in ClickHouse.
func (d *demo) showCopy(bars *bars, status status.Status) bool {
	exact, rows := 0, int64(0)
	for _, t := range status.Tables {
		total, known := d.rows[t.Table]
		if !known {
			continue
		}
		done := min(t.Rows, total-1) // all of it only when it can be queried
		if t.Exact {
			exact, done = exact+1, total
		}
		rows += done
		bars.set(t.Table, done, total)
	}
	d.copied = rows
	return exact == len(d.rows)
}

// status asks the capture leg's ops endpoint.
func (d *demo) status(ctx context.Context) (status.Status, error) {
	var out status.Status
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.ops+"/status", nil)
	if err != nil {
		return out, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return out, fmt.Errorf("status: %s", response.Status)
	}
	return out, json.NewDecoder(response.Body).Decode(&out)
}
