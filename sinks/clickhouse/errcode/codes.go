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
	// 6: text into a number
	proto.ErrCannotParseText: {owner: OfRows},
	// 26: a literal
	proto.ErrCannotParseQuotedString: {owner: OfRows},
	// 27: text does not have the form of its type
	proto.ErrCannotParseInputAssertionFailed: {owner: OfRows},
	// 33: a native block ends too early
	proto.ErrCannotReadAllData: {owner: OfRows},
	// 36: a function or an engine refuses what it is given
	proto.ErrBadArguments: {owner: OfRows},
	// 38: text into Date
	proto.ErrCannotParseDate: {owner: OfRows},
	// 41: text into DateTime
	proto.ErrCannotParseDatetime: {owner: OfRows},
	// 43: a function gets another type
	proto.ErrIllegalTypeOfArgument: {owner: OfRows},
	// 44: a function or a DDL statement cannot use the column
	proto.ErrIllegalColumn: {owner: OfRows},
	// 50: CREATE TABLE names a type that the server does not know
	proto.ErrUnknownType: {owner: OfRows},
	// 62: the parser refuses a statement: the same names give the same statement
	proto.ErrSyntaxError: {owner: OfRows},
	// 69: scale, precision or a date out of range
	proto.ErrArgumentOutOfBound: {owner: OfRows},
	// 70: a field into the column's type
	proto.ErrCannotConvertType: {owner: OfRows},
	// 72: text into a number
	proto.ErrCannotParseNumber: {owner: OfRows},
	// 80: DDL that contradicts itself
	proto.ErrIncorrectQuery: {owner: OfRows},
	// 117: a block that contradicts itself
	proto.ErrIncorrectData: {owner: OfRows},
	// 128: an array in a block
	proto.ErrTooLargeArraySize: {owner: OfRows},
	// 131: a string in a block
	proto.ErrTooLargeStringSize: {owner: OfRows},
	// 179: two columns of a view or query have one name
	proto.ErrMultipleExpressionsForAlias: {owner: OfRows},
	// 207: a column's name means two things in a query
	proto.ErrAmbiguousIdentifier: {owner: OfRows},
	// 321: a number in a column
	proto.ErrValueIsOutOfRangeOfDataType: {owner: OfRows},
	// 349: NULL without Nullable
	proto.ErrCannotInsertNullInOrdinaryColumn: {owner: OfRows},
	// 352: as 207, in a join
	proto.ErrAmbiguousColumnName: {owner: OfRows},
	// 407: a decimal in a column
	proto.ErrDecimalOverflow: {owner: OfRows},
	// 432: CREATE TABLE names a codec that the server does not know
	proto.ErrUnknownCodec: {owner: OfRows},
	// 441: text into IPv4, IPv6 and the like
	proto.ErrCannotParseDomainValueFromString: {owner: OfRows},
	// 469: a CONSTRAINT of the table
	proto.ErrViolatedConstraint: {owner: OfRows},
	// 524: ALTER of a column of the sorting key
	proto.ErrAlterOfColumnIsForbidden: {owner: OfRows},

	// The storage is another than the statement was written for: the interpreter looks tables and columns up.
	// 10
	proto.ErrNotFoundColumnInBlock: {OfStorage, "a column is not there", fixStorage},
	// 15: ALTER TABLE
	proto.ErrDuplicateColumn: {OfStorage, "a column is there twice", fixStorage},
	// 16: INSERT's list of columns
	proto.ErrNoSuchColumnInTable: {OfStorage, "a column is not there", fixStorage},
	// 20
	proto.ErrNumberOfColumnsDoesntMatch: {OfStorage, "the number of columns is another", fixStorage},
	// 47: the analyzer
	proto.ErrUnknownIdentifier: {OfStorage, "a column is not there", fixStorage},
	// 48: INSERT into a view
	proto.ErrNotImplemented: {OfStorage, "it is no table that takes rows", fixStorage},
	// 53
	proto.ErrTypeMismatch: {OfStorage, "a column has another type", fixStorage},
	// 57: CREATE
	proto.ErrTableAlreadyExists: {OfStorage, "something else has the name", "rename what has it"},
	// 60: dropped, detached or renamed
	proto.ErrUnknownTable: {OfStorage, "the table is not there", fixStorage},
	// 81
	proto.ErrUnknownDatabase: {OfStorage, "unknown database", "find out who has dropped clickhouse.database or its _raw twin; a restart of dirtbike makes what is missing"},
	// 122
	proto.ErrIncompatibleColumns: {OfStorage, "the columns are others", fixStorage},
	// 218: DROP or DETACH has the lock
	proto.ErrTableIsDropped: {OfStorage, "the table is being dropped", fixStorage},

	// The storage cannot take rows, and will again.
	// 473: a lock was not got in lock_acquire_timeout
	proto.ErrDeadlockAvoided: {OfTable, "another statement holds the table", fixLoad},
	// 242: a disk or Keeper is away
	proto.ErrTableIsReadOnly: {OfTable, "the table is read-only", fixDisk},
	// 252: parts_to_throw_insert
	proto.ErrTooManyParts: {OfTable, "too many parts", "give its merges time and disk, or raise clickhouse.load.flush_interval"},
	// 341: ALTER waits for it
	proto.ErrUnfinished: {OfTable, "a mutation is not done", fixLoad},
	// 236: merges are stopped, or the server stops
	proto.ErrAborted: {OfTable, "ClickHouse cut it short", fixLoad},

	// The server has no room, no time or no peer.
	// 74
	proto.ErrCannotReadFromFileDescriptor: {OfServer, "its disk cannot be read", fixDisk},
	// 75
	proto.ErrCannotWriteToFileDescriptor: {OfServer, "its disk cannot be written", fixDisk},
	// 76: also too many open files
	proto.ErrCannotOpenFile: {OfServer, "its disk cannot be opened", fixDisk},
	// 159: max_execution_time
	proto.ErrTimeoutExceeded: {OfServer, "a query took too long", fixLoad},
	// 164
	proto.ErrReadonly: {OfServer, "the session may not write", "the readonly setting of clickhouse.url's user"},
	// 201
	proto.ErrQuotaExceeded: {OfServer, "a quota is used up", "wait for its interval to end, or raise it"},
	// 202
	proto.ErrTooManySimultaneousQueries: {OfServer, "too many queries at once", fixLoad},
	// 203
	proto.ErrNoFreeConnection: {OfServer, "no connection is free", fixLoad},
	// 209
	proto.ErrSocketTimeout: {OfServer, "ClickHouse's network timed out", fixLoad},
	// 210
	proto.ErrNetworkError: {OfServer, "ClickHouse's network failed", fixLoad},
	// 241
	proto.ErrMemoryLimitExceeded: {OfServer, "memory limit exceeded", "give ClickHouse more memory, or lower clickhouse.load.batch_bytes"},
	// 243
	proto.ErrNotEnoughSpace: {OfServer, "its disk is full", "free disk space on ClickHouse's data volume"},
	// 396: max_result_bytes, which we set where an answer is read into memory (ledger)
	proto.ErrTooManyRowsOrBytes: {OfServer, "an answer is larger than what is read", "find out what else writes to the _raw database, and take its right away"},
	// 439: max_thread_pool_size
	proto.ErrCannotScheduleTask: {OfServer, "no thread is free", fixLoad},
	// 999
	proto.ErrKeeperException: {OfServer, "Keeper does not answer", "look at Keeper"},

	// Access is decided before the statement is run.
	// 192
	proto.ErrUnknownUser: {OfLogin, "authentication failed", fixLogin},
	// 193
	proto.ErrWrongPassword: {OfLogin, "authentication failed", fixLogin},
	// 392: allow_ddl
	proto.ErrQueryIsProhibited: {OfLogin, "the user may make no tables", "allow_ddl = 1 in the settings profile of clickhouse.url's user"},
	// 452: CONST, MIN or MAX of a profile forbids a setting that we send (session)
	proto.ErrSettingConstraintViolation: {OfLogin, "a setting may not be changed", "dirtbike check, which names it, and dirtbike explain clickhouse-settings"},
	// 497
	proto.ErrAccessDenied: {OfLogin, "access denied", "dirtbike explain clickhouse-grants"},
	// 516
	proto.ErrAuthenticationFailed: {OfLogin, "authentication failed", fixLogin},
}
