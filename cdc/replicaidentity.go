package cdc

// ReplicaIdentity is a table's replica identity, in pg_class.relreplident's letters.
type ReplicaIdentity byte

// The replica identities.
const (
	IdentityDefault ReplicaIdentity = 'd'
	IdentityNothing ReplicaIdentity = 'n'
	IdentityFull    ReplicaIdentity = 'f'
	IdentityIndex   ReplicaIdentity = 'i'
)
