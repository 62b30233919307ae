package errcode

import "github.com/ClickHouse/ch-go/proto"

// Owner says whose an error is: what waits, and what goes on meanwhile. It is decided by the code, not by the statement
// that met it. The zero value is that of a code which is not in the table.
type Owner uint8

// The owners.
const (
	// OfUnknown: nobody has decided on the code yet. It counts as OfTable: that table alone waits, and is tried again.
	OfUnknown Owner = iota
	// OfRows: the rows of one table are refused, however often they are sent. Final: the table is quarantined.
	OfRows
	// OfStorage: one table's storage or view is not there, or not as it was made. Somebody may be changing it just now,
	// so the table waits for some time before it is quarantined.
	OfStorage
	// OfTable: one table cannot take rows for now. It alone waits.
	OfTable
	// OfServer: the server cannot do it for now, whichever table is asked. What was asked waits.
	OfServer
	// OfLogin: user, password or rights. A person has to change them; until then what was asked waits.
	OfLogin
)

// code is what is known of one code of ClickHouse: whose it is, what the person who runs the pipeline needs to know,
// and what to do. An empty what shows the code's own name.
type code struct {
	owner     Owner
	what, fix string
}

// Ways out that several codes share.
const (
	fixLogin   = "clickhouse.url's user and password"
	fixLoad    = "find out what else ClickHouse is busy with (system.processes)"
	fixStorage = "put the table in the _raw database back as it was (ATTACH TABLE, RENAME TABLE, ALTER TABLE)"
	fixDisk    = "look at ClickHouse's disks and its own log"
)

// codes has every code that load decides on. The comment of each says where ClickHouse raises it; names and numbers are
// those of its src/Common/ErrorCodes.cpp.
var codes = map[proto.Error]code{
	// Rows are refused while a value is parsed or converted, on the way into a block or a column.
	proto.ErrCannotParseText:                  {owner: OfRows}, // 6: text into a number
	proto.ErrCannotParseQuotedString:          {owner: OfRows}, // 26: a literal
	proto.ErrCannotParseInputAssertionFailed:  {owner: OfRows}, // 27: text does not have the form of its type
	proto.ErrCannotReadAllData:                {owner: OfRows}, // 33: a native block ends too early
	proto.ErrBadArguments:                     {owner: OfRows}, // 36: a function or an engine refuses what it is given
	proto.ErrCannotParseDate:                  {owner: OfRows}, // 38: text into Date
	proto.ErrCannotParseDatetime:              {owner: OfRows}, // 41: text into DateTime
	proto.ErrIllegalTypeOfArgument:            {owner: OfRows}, // 43: a function gets another type
	proto.ErrIllegalColumn:                    {owner: OfRows}, // 44: a function or a DDL statement cannot use the column
	proto.ErrUnknownType:                      {owner: OfRows}, // 50: CREATE TABLE names a type that the server does not know
	proto.ErrSyntaxError:                      {owner: OfRows}, // 62: the parser refuses a statement: the same names give the same statement
	proto.ErrArgumentOutOfBound:               {owner: OfRows}, // 69: scale, precision or a date out of range
	proto.ErrCannotConvertType:                {owner: OfRows}, // 70: a field into the column's type
	proto.ErrCannotParseNumber:                {owner: OfRows}, // 72: text into a number
	proto.ErrIncorrectQuery:                   {owner: OfRows}, // 80: DDL that contradicts itself
	proto.ErrIncorrectData:                    {owner: OfRows}, // 117: a block that contradicts itself
	proto.ErrTooLargeArraySize:                {owner: OfRows}, // 128: an array in a block
	proto.ErrTooLargeStringSize:               {owner: OfRows}, // 131: a string in a block
	proto.ErrMultipleExpressionsForAlias:      {owner: OfRows}, // 179: two columns of a view or query have one name
	proto.ErrAmbiguousIdentifier:              {owner: OfRows}, // 207: a column's name means two things in a query
	proto.ErrValueIsOutOfRangeOfDataType:      {owner: OfRows}, // 321: a number in a column
	proto.ErrCannotInsertNullInOrdinaryColumn: {owner: OfRows}, // 349: NULL without Nullable
	proto.ErrAmbiguousColumnName:              {owner: OfRows}, // 352: as 207, in a join
	proto.ErrDecimalOverflow:                  {owner: OfRows}, // 407: a decimal in a column
	proto.ErrUnknownCodec:                     {owner: OfRows}, // 432: CREATE TABLE names a codec that the server does not know
	proto.ErrCannotParseDomainValueFromString: {owner: OfRows}, // 441: text into IPv4, IPv6 and the like
	proto.ErrViolatedConstraint:               {owner: OfRows}, // 469: a CONSTRAINT of the table
	proto.ErrAlterOfColumnIsForbidden:         {owner: OfRows}, // 524: ALTER of a column of the sorting key

	// The storage is another than the statement was written for: the interpreter looks tables and columns up.
	proto.ErrNotFoundColumnInBlock:      {OfStorage, "a column is not there", fixStorage},                                                                                              // 10
	proto.ErrDuplicateColumn:            {OfStorage, "a column is there twice", fixStorage},                                                                                            // 15: ALTER TABLE
	proto.ErrNoSuchColumnInTable:        {OfStorage, "a column is not there", fixStorage},                                                                                              // 16: INSERT's list of columns
	proto.ErrNumberOfColumnsDoesntMatch: {OfStorage, "the number of columns is another", fixStorage},                                                                                   // 20
	proto.ErrUnknownIdentifier:          {OfStorage, "a column is not there", fixStorage},                                                                                              // 47: the analyzer
	proto.ErrTypeMismatch:               {OfStorage, "a column has another type", fixStorage},                                                                                          // 53
	proto.ErrTableAlreadyExists:         {OfStorage, "something else has the name", "rename what has it"},                                                                              // 57: CREATE
	proto.ErrUnknownTable:               {OfStorage, "the table is not there", fixStorage},                                                                                             // 60: dropped, detached or renamed
	proto.ErrUnknownDatabase:            {OfStorage, "unknown database", "find out who has dropped clickhouse.database or its _raw twin; a restart of dirtbike makes what is missing"}, // 81
	proto.ErrIncompatibleColumns:        {OfStorage, "the columns are others", fixStorage},                                                                                             // 122
	proto.ErrTableIsDropped:             {OfStorage, "the table is being dropped", fixStorage},                                                                                         // 218: DROP or DETACH has the lock

	// The storage cannot take rows, and will again.
	proto.ErrDeadlockAvoided: {OfTable, "another statement holds the table", fixLoad},                                               // 473: a lock was not got in lock_acquire_timeout
	proto.ErrTableIsReadOnly: {OfTable, "the table is read-only", fixDisk},                                                          // 242: a disk or Keeper is away
	proto.ErrTooManyParts:    {OfTable, "too many parts", "give its merges time and disk, or raise clickhouse.load.flush_interval"}, // 252: parts_to_throw_insert
	proto.ErrUnfinished:      {OfTable, "a mutation is not done", fixLoad},                                                          // 341: ALTER waits for it
	proto.ErrAborted:         {OfTable, "ClickHouse cut it short", fixLoad},                                                         // 236: merges are stopped, or the server stops

	// The server has no room, no time or no peer.
	proto.ErrCannotReadFromFileDescriptor: {OfServer, "its disk cannot be read", fixDisk},                                                           // 74
	proto.ErrCannotWriteToFileDescriptor:  {OfServer, "its disk cannot be written", fixDisk},                                                        // 75
	proto.ErrCannotOpenFile:               {OfServer, "its disk cannot be opened", fixDisk},                                                         // 76: also too many open files
	proto.ErrTimeoutExceeded:              {OfServer, "a query took too long", fixLoad},                                                             // 159: max_execution_time
	proto.ErrReadonly:                     {OfServer, "the session may not write", "the readonly setting of clickhouse.url's user"},                 // 164
	proto.ErrQuotaExceeded:                {OfServer, "a quota is used up", "wait for its interval to end, or raise it"},                            // 201
	proto.ErrTooManySimultaneousQueries:   {OfServer, "too many queries at once", fixLoad},                                                          // 202
	proto.ErrNoFreeConnection:             {OfServer, "no connection is free", fixLoad},                                                             // 203
	proto.ErrSocketTimeout:                {OfServer, "ClickHouse's network timed out", fixLoad},                                                    // 209
	proto.ErrNetworkError:                 {OfServer, "ClickHouse's network failed", fixLoad},                                                       // 210
	proto.ErrMemoryLimitExceeded:          {OfServer, "memory limit exceeded", "give ClickHouse more memory, or lower clickhouse.load.batch_bytes"}, // 241
	proto.ErrNotEnoughSpace:               {OfServer, "its disk is full", "free disk space on ClickHouse's data volume"},                            // 243
	proto.ErrCannotScheduleTask:           {OfServer, "no thread is free", fixLoad},                                                                 // 439: max_thread_pool_size
	proto.ErrKeeperException:              {OfServer, "Keeper does not answer", "look at Keeper"},                                                   // 999

	// Access is decided before the statement is run.
	proto.ErrUnknownUser:          {OfLogin, "authentication failed", fixLogin},                     // 192
	proto.ErrWrongPassword:        {OfLogin, "authentication failed", fixLogin},                     // 193
	proto.ErrAccessDenied:         {OfLogin, "access denied", "dirtbike explain clickhouse-grants"}, // 497
	proto.ErrAuthenticationFailed: {OfLogin, "authentication failed", fixLogin},                     // 516
}
