package apply

import "time"

// A partition's log may not continue what ClickHouse has of it: records were dropped before they were loaded, they are older than the
// replay horizon, the log no longer starts at its beginning, the topic is another one of that name, or a generation is opened that is not
// newer than the one before it. Load goes on only from the open record of a generation that is newer than all it knows of that partition: behind it stands a whole copy, and with it the table is not
// exact until that is shown. Until then nothing counts as applied. Where there is none, load stops with the choice; `resnapshot` writes one.

// Seek is what a partition waits for.
type Seek struct {
	// Above is the newest generation that is known: an open record must be of a later one. For the progress topic, if it is another
	// topic, it is the epoch.
	Above uint32
	// Renewed says that the topic is another one of that name.
	Renewed bool
	// Until is where the log ended when it began: nothing that is there before continues it, if this is reached.
	Until int64
	// From is how far the partition may count as applied meanwhile.
	From int64
	// Why is said then.
	Why   error
	Since time.Time
}

// Passed notes how far it came.
func (s *Seek) Passed(next int64) error {
	s.Since = time.Now()
	if next >= s.Until {
		return s.Why
	}
	return nil
}
