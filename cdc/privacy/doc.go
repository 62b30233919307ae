// Package privacy applies the column policies of the config before a value leaves the process: it implements
// schemas.Policies and schemas.Transform (rule 29).
//
// Every policy works on Postgres' text of a value, appends to the caller's buffer and allocates nothing. NULL never
// gets here and stays NULL. No error and no Print holds a value or a secret.
package privacy
