// Package kafka is the durable sink: it stores chunks of encoded records in Kafka, exactly once, one Kafka transaction
// for each commit of the capture loop (rules 3, 4, 7 and 8 of cdc/EXACTNESS.md).
//
// Everything that a capture must remember lives in the same transaction as the records: the point and the tables' state
// in the state topic, and in the progress topic how far each partition reaches. Sink's comment gives the order of a
// commit and of a recovery; stateReader reads what is stored, topicAdmin makes and checks topics.
//
// An error is one of three: cdc.ErrFenced (another capture has taken over), cdc.ErrRefused (configuration, rights, an
// existing topic or the stored state; another try cannot fix it, and capture stops), or something temporary: then
// capture recovers and goes on.
package kafka
