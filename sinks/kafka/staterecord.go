package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"dirtbike/cdc"
)

// The keys of the state topic; keyOwner is another one.
const (
	keyPoint    = "point"
	keySource   = "source"
	tablePrefix = "table:"
)

// Why a record of the state or progress topic cannot be read, where it is not its JSON.
var (
	errNewerFormat = errors.New("a later release wrote it")
	errOlderFormat = errors.New("an older release wrote it")
	errNoFormat    = errors.New("it has no format")
	errUnknownKey  = errors.New("the key is unknown; another release wrote it, or the topic is not dirtbike's")
	errOtherTable  = errors.New("the record is of another table than its key")
)

// pointRecord is cdc.Point in the state topic.
type pointRecord struct {
	Format    int     `json:"format"`
	Epoch     uint32  `json:"epoch"`
	CommitLSN cdc.LSN `json:"commit_lsn"`
	Ordinal   uint32  `json:"ordinal"`
	Partial   bool    `json:"partial"`
	Reported  cdc.LSN `json:"reported"`
	TimeUS    int64   `json:"time_us"`
}

// encodePoint gives the record of every commit.
func encodePoint(p cdc.Point) []byte {
	return fmt.Appendf(nil, `{"format":%d,"epoch":%d,"commit_lsn":"%s","ordinal":%d,"partial":%t,"reported":"%s","time_us":%d}`,
		cdc.StateFormat, p.Position.Epoch, p.Position.CommitLSN, p.Position.Ordinal, p.Partial, p.Reported, p.Time)
}

// encodeChange gives key and value of a changed state; the format field is set here, and the caller's value ignored.
func encodeChange(c cdc.StateChange) (key, value []byte, err error) {
	switch c := c.(type) {
	case cdc.SourceState:
		c.Format = cdc.StateFormat
		key = []byte(keySource)
		value, err = json.Marshal(c)
	case cdc.TableState:
		c.Format = cdc.StateFormat
		key = []byte(tablePrefix + c.Name())
		value, err = json.Marshal(c)
	default:
		return nil, nil, fmt.Errorf("state change of type %T is unknown: this is a bug", c)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode state %s: %w", key, err)
	}
	return key, value, nil
}

// foldState applies one record of the state topic. A record that it cannot read is cdc.ErrRefused; the error names the
// key, never the content.
func foldState(state *cdc.State, key, value []byte) error {
	if err := foldRecord(state, string(key), value); err != nil {
		return unreadable("the state record cannot be read", err).At(fmt.Sprintf("key %q", key))
	}
	return nil
}

func foldRecord(state *cdc.State, key string, value []byte) error {
	if err := checkFormat(value); err != nil {
		return err
	}
	switch name, isTable := strings.CutPrefix(key, tablePrefix); {
	case isTable:
		var t cdc.TableState
		if err := json.Unmarshal(value, &t); err != nil {
			return err
		}
		if t.Name() != name {
			return errOtherTable
		}
		state.Tables[name] = t
		return nil
	case key == keyPoint:
		return foldPoint(state, value)
	case key == keySource:
		var source cdc.SourceState
		if err := json.Unmarshal(value, &source); err != nil {
			return err
		}
		state.Source = source
		return nil
	case key == keyOwner, strings.HasPrefix(key, producerPrefix):
		return nil // says who wrote, not what
	default:
		return errUnknownKey
	}
}

func foldPoint(state *cdc.State, value []byte) error {
	var r pointRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	at := cdc.Position{Epoch: r.Epoch, CommitLSN: r.CommitLSN, Ordinal: r.Ordinal}
	state.Point = cdc.Point{Position: at, Partial: r.Partial, Reported: r.Reported, Time: r.TimeUS}
	return nil
}

// checkFormat refuses a record of another release's format before anything of it is believed.
func checkFormat(value []byte) error {
	var r struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	if r.Format > cdc.StateFormat {
		return fmt.Errorf("%w: it has format %d, this release reads up to %d", errNewerFormat, r.Format, cdc.StateFormat)
	}
	if r.Format < 1 {
		return errNoFormat
	}
	if r.Format < cdc.StateFormat {
		return fmt.Errorf("%w: it has format %d, this release reads %d", errOlderFormat, r.Format, cdc.StateFormat)
	}
	return nil
}
