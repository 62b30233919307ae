// Package kafka is the durable sink: it stores chunks of encoded records in Kafka, exactly once, one Kafka transaction for
// each commit of the capture loop (rules 3, 4, 7 and 8 of cdc/EXACTNESS.md).
//
// Everything that a capture must remember lives in the same transaction as the records: the point and the tables' state in
// the state topic, and in the progress topic how far each partition reaches. So there is nothing beside Kafka to keep in step.
//
// The way of a commit:
//
//	Write  ─ check the chunk ─ begin if needed ─ produce, blocking while the buffer is full
//	Commit ─ flush ─ next offset of each partition ─ produce progress, state, point ─ flush ─ EndTransaction ─ Durable
//
// After any error the transaction's outcome is unknown. The sink then refuses everything until Recover has fenced the old
// producer, waited for its transaction to end, and read from the topics what became of it. It never assumes.
//
// An error is one of three: cdc.ErrFenced (another capture has taken over), cdc.ErrRefused (configuration, rights, an existing topic
// or the stored state; another try cannot mend it, and capture stops), or something that passes: then capture recovers and goes on.
package kafka
