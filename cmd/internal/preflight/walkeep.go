package preflight

import "fmt"

// leastKeepMB is Postgres' default for max_wal_size: below it a single checkpoint may already cost the slot.
const leastKeepMB = 1024

// proposedMB is what is proposed for max_slot_wal_keep_size: a quarter of the log's disk, if the config says how large
// that is, else a few times what Postgres keeps anyway. It is never so low that the existing slot would be lost.
func (s *server) proposedMB() int64 {
	const share, times, beyond = 4, 4, 2
	size := times * s.MaxWALMB
	if s.diskMB > 0 {
		size = s.diskMB / share
	}
	return max(size, beyond*s.HeldMB, leastKeepMB)
}

// keepSQL sets max_slot_wal_keep_size.
func keepSQL(mb int64) string {
	size := fmt.Sprintf("%dMB", mb)
	if mb%1024 == 0 {
		size = fmt.Sprintf("%dGB", mb/1024)
	}
	return "ALTER SYSTEM SET max_slot_wal_keep_size = '" + size + "'" + reload
}

// reload is appended to statements that need no restart.
const reload = ";\nSELECT pg_reload_conf();"

// howMuch says where the proposed value comes from, and how to choose another.
func (s *server) howMuch() string {
	if s.diskMB > 0 {
		return "The printed value is a quarter of source.wal_disk, unless more is held back already"
	}
	return "Choose what is written in as many hours as dirtbike may be down, and less than the disk's free space, which Postgres does not report " +
		"(say it as source.wal_disk); the printed value is no more than a few times max_wal_size, or what is held back already"
}

func (s *server) judgeKeepSize(p *part) {
	p.judge(question{
		slug: "postgres-wal-keep", subject: "max_slot_wal_keep_size", level: LevelWarning, command: keepSQL(s.proposedMB()), good: fmt.Sprintf("%d MB", s.KeepMB),
		bad: when(s.KeepMB < 0, "without a limit: while dirtbike is down, Postgres keeps its log until the disk is full. %s", s.howMuch()) +
			when(s.KeepMB >= 0 && s.KeepMB < leastKeepMB, "%d MB is next to nothing: Postgres gives the slot up soon after dirtbike stops or is late, "+
				"and everything has to be copied again. %s", s.KeepMB, s.howMuch()),
	})
}
