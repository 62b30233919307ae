package apply

import "time"

// Seek is what a partition waits for whose log does not continue what ClickHouse has of it: records were dropped before
// they were loaded, or are older than the replay horizon; the log no longer begins at its start, or the topic is
// another one of that name; or a generation is opened that is not newer than the one before it.
//
// Load goes on only from the open record of a generation that is newer than all it knows of that partition: a whole
// copy follows it, and the table is not exact until the view shows that copy. Until then nothing counts as applied.
// Where there is no such record load stops, and somebody has to decide; `dirtbike resnapshot` writes one.
type Seek struct {
	// Above is the newest generation that is known: an open record must be of a later one. For the progress topic, if
	// it is another topic, it is the epoch.
	Above uint32
	// Renewed says that the topic is another one of that name.
	Renewed bool
	// Until is where the log ended when the partition began to seek: if it is reached, nothing continues what was
	// loaded.
	Until int64
	// From is how far the partition may count as applied meanwhile.
	From int64
	// Why is the error with which load stops then.
	Why error
	// Since is when the last record came.
	Since time.Time
}

// Passed notes that the records below next are not what is sought. It gives Why once the log as it was has none.
func (s *Seek) Passed(next int64) error {
	s.Since = time.Now()
	if next >= s.Until {
		return s.Why
	}
	return nil
}
