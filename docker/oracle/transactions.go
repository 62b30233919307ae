package oracle

import (
	"slices"
	"sort"
)

// transactions matches the records with the expected transactions, one by one.
func (c *checker) transactions(records []Record) {
	slices.SortStableFunc(records, func(a, b Record) int { return a.Position.Compare(b.Position) })
	for len(records) > 0 {
		first, end := records[0].Position, 1
		for end < len(records) && records[end].Position.Epoch == first.Epoch && records[end].Position.CommitLSN == first.CommitLSN {
			end++
		}
		c.transaction(records[:end])
		records = records[end:]
	}
	for _, tx := range c.txs {
		if !tx.found {
			for _, i := range tx.items {
				c.fault(FaultLost, "%s of transaction %d", i, tx.xid)
			}
		}
	}
}

// transaction matches the records of one commit LSN, which are in the order of their ordinals.
func (c *checker) transaction(records []Record) {
	tx := c.find(records[0].Position.CommitLSN)
	if tx == nil || tx.found {
		for _, r := range records {
			c.fault(FaultExtra, "%s, whose commit LSN is no expected transaction's", r)
		}
		return
	}
	tx.found = true
	for _, r := range records {
		if uint32(r.TxID) != tx.xid { //nolint:gosec // an xid may be written with its epoch above it
			c.fault(FaultPosition, "%s says transaction %d, which is %d", r, r.TxID, tx.xid)
		}
	}
	c.sequence(tx, c.mergeTruncates(records))
}

// find gives the expected transaction whose commit record can start at the LSN: after its last change and the commit
// before it, before its end.
func (c *checker) find(commitLSN uint64) *expectedTx {
	i := sort.Search(len(c.txs), func(i int) bool { return c.txs[i].end > commitLSN })
	if i == len(c.txs) || commitLSN <= c.txs[i].after || commitLSN < c.txs[i].from {
		return nil
	}
	return c.txs[i]
}

// mergeTruncates keeps one record of each truncate, and reports the partitions without one.
func (c *checker) mergeTruncates(records []Record) []Record {
	var out []Record
	for i, r := range records {
		if r.Op != OpTruncate {
			out = append(out, r)
			continue
		}
		same := func(q Record) bool { return q.Op == OpTruncate && q.Topic == r.Topic && q.Position == r.Position }
		if slices.ContainsFunc(records[:i], same) {
			continue
		}
		out = append(out, r)
		for p := range int32(r.Partitions) { //nolint:gosec // Kafka's own type
			if !slices.ContainsFunc(records, func(q Record) bool { return same(q) && q.Partition == p }) {
				c.fault(FaultLost, "%s has no record on partition %d", r, p)
			}
		}
	}
	return out
}

// sequence compares a transaction's records, by ordinal, with its expected items.
func (c *checker) sequence(tx *expectedTx, records []Record) {
	missing := map[item]int{}
	for _, i := range tx.items {
		missing[i]++
	}
	complete := true
	for _, r := range records {
		if i := itemOf(r); missing[i] > 0 {
			missing[i]--
		} else {
			complete = false
			c.fault(FaultExtra, "%s, not in transaction %d", r, tx.xid)
		}
	}
	for _, i := range tx.items {
		if missing[i] > 0 {
			missing[i]--
			complete = false
			c.fault(FaultLost, "%s of transaction %d", i, tx.xid)
		}
	}
	if complete {
		c.order(tx, records)
	}
}

// order compares the order and, if it is known what is published, the very ordinals.
func (c *checker) order(tx *expectedTx, records []Record) {
	for n, r := range records {
		switch {
		case itemOf(r) != tx.items[n]:
			c.fault(FaultReordered, "%s is where transaction %d has %s", r, tx.xid, tx.items[n])
		case c.options.Published != nil && r.Position.Ordinal != tx.ordinals[n]:
			c.fault(FaultPosition, "%s has not the ordinal %d", r, tx.ordinals[n])
		}
	}
}
