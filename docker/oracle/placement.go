package oracle

// keyPlace names a key within a partition.
type keyPlace struct {
	topic     string
	partition int32
	key       string
}

// lastSeen is the latest record of a key, and the latest streamed change.
type lastSeen struct {
	op       Op
	position Position
	streamed bool
}

// placement checks the place of each record: topic, partition, order within its key, tombstones, truncates.
func (c *checker) placement(sorted []Record) {
	seen := map[keyPlace]lastSeen{}
	var last, cut Record // of the partition: the latest change, and the latest truncate
	for i, r := range sorted {
		if i > 0 && (r.Topic != sorted[i-1].Topic || r.Partition != sorted[i-1].Partition) {
			last, cut = Record{}, Record{}
		}
		c.topic(r)
		switch {
		case c.judged(r) && r.Control != "":
			if r.Position.Compare(last.Position) < 0 {
				c.fault(FaultControl, "%s stands after %s", r, last)
			}
			cut = r
		case c.judged(r):
			if r.Position.Compare(cut.Position) < 0 {
				c.fault(FaultControl, "%s stands before %s", cut, r)
			}
			last = r
		}
		if r.Control != "" {
			continue
		}
		if r.Op == OpTruncate || r.Op == OpMarker {
			c.fault(FaultControl, "%s has a row's key", r)
		}
		if home := homePartition([]byte(r.KeyBytes), r.Partitions); home != r.Partition {
			c.fault(FaultMoved, "%s belongs to partition %d", r, home)
		}
		place := keyPlace{r.Topic, r.Partition, r.KeyBytes}
		seen[place] = c.afterLast(r, seen[place])
	}
}

// topic checks that the record is in its table's topic.
func (c *checker) topic(r Record) {
	if want := c.options.Prefix + "." + r.Schema + "." + r.Table; want != r.Topic && !r.Tombstone {
		c.fault(FaultMoved, "%s belongs to topic %s", r, want)
	}
}

// afterLast checks a record against the one before it of its key, and gives what the next one is checked against.
func (c *checker) afterLast(r Record, last lastSeen) lastSeen {
	if r.Tombstone {
		if last.op != OpDelete {
			c.fault(FaultTombstone, "%s follows op %q", r, last.op)
		}
		return last
	}
	if !c.judged(r) {
		last.op = r.Op
		return last
	}
	if last.streamed && r.Position.Compare(last.position) < 0 {
		c.fault(FaultReordered, "%s follows %s of the same key", r, last.position)
	}
	return lastSeen{op: r.Op, position: r.Position, streamed: true}
}

// unique drops what is not checked and what is there again, and reports positions that two records share.
func (c *checker) unique(sorted []Record) []Record {
	type place struct {
		position  Position
		topic     string // it and the partition are set for a truncate, which each partition has
		partition int32
	}
	owners, at := map[place]Record{}, map[Position]Record{}
	var out []Record
	for _, r := range sorted {
		if !c.judged(r) {
			continue
		}
		p := place{position: r.Position}
		if r.Op == OpTruncate {
			p.topic, p.partition = r.Topic, r.Partition
		}
		if owner, taken := owners[p]; taken && itemOf(owner) == itemOf(r) {
			c.fault(FaultDoubled, "%s and %s", owner, r)
			continue
		}
		if other, taken := at[r.Position]; taken && itemOf(other) != itemOf(r) {
			c.fault(FaultPosition, "%s and %s share a position", other, r)
		}
		owners[p], at[r.Position] = r, r
		out = append(out, r)
	}
	return out
}
