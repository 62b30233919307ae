package consume

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"dirtbike/cdc"
	"dirtbike/sinks/clickhouse/apply"
)

// LostCount says that an open record's generation is not newer than one that was opened before it: the record was
// repeated or forged, or the capture that wrote it has lost the count of generations. Rows after it cannot be
// distinguished from those of earlier copies.
func LostCount(p *apply.Partition, at int64, generation uint32) error {
	newest := p.Opened(at)
	problem := cdc.Failed("generation %d of the table begins after generation %d: the record was repeated or forged, or capture has lost its state", generation, newest)
	if generation == newest {
		problem = problem.Fix("%s", cdc.ResnapshotCommand(p.Topic.Table))
	}
	return problem.Fix("%s", cdc.ResnapshotAllCommand)
}

// seekPatience is how long a partition that seeks may receive no record.
const seekPatience = 10 * time.Second

// Overdue says why load stops if no record comes to a partition that seeks.
func Overdue(topics map[string]*apply.Topic) error {
	for _, s := range seeking(topics) {
		if time.Since(s.Since) > seekPatience {
			return s.Why
		}
	}
	return nil
}

// Seeking reports whether a partition of a table's topic seeks.
func Seeking(topics map[string]*apply.Topic) bool { return len(seeking(topics)) > 0 }

// seeking lists what seeks, except a progress topic that only lacks its first records and waits for a full one.
func seeking(topics map[string]*apply.Topic) (all []*apply.Seek) {
	for _, t := range topics {
		for _, p := range t.Parts {
			if p.Seek != nil && (!t.Progress || p.Seek.Renewed) {
				all = append(all, p.Seek)
			}
		}
	}
	return all
}

// PauseOthers pauses the partitions that do not seek, if any other one does: if it finds no newer copy, nothing must
// have changed.
func PauseOthers(client *kgo.Client, topics map[string]*apply.Topic) {
	if len(seeking(topics)) == 0 {
		return
	}
	others := map[string][]int32{}
	for name, t := range topics {
		for id, p := range t.Parts {
			if p.Seek == nil {
				others[name] = append(others[name], id)
			}
		}
	}
	client.PauseFetchPartitions(others)
}

// ResumeOthers resumes them once no partition seeks.
func ResumeOthers(client *kgo.Client, topics map[string]*apply.Topic) {
	if paused := client.PauseFetchPartitions(nil); len(paused) > 0 && len(seeking(topics)) == 0 {
		client.ResumeFetchPartitions(paused)
	}
}
