package ledger

import (
	"context"
	"time"

	"dirtbike/schemas"
)

// NoticeKind says what a notice is about; the text is a format.
type NoticeKind string

// The kinds of notices.
const (
	NoticeWaits   NoticeKind = "waits"   // a table's records wait
	NoticeView    NoticeKind = "view"    // a table's view cannot be made for now
	NoticeTaken   NoticeKind = "taken"   // something of somebody's has the name of dirtbike's own view
	NoticeForeign NoticeKind = "foreign" // a topic has records that another writer put there: they change nothing
)

// Notice is what a loader tells other processes about one table or topic. Nothing depends on it: it is for people.
type Notice struct {
	Kind    NoticeKind
	Name    string // the real name "schema.table" of a table, or of a topic
	Loader  string // which loader says so
	Reason  string // the text of a problem (cdc.ParseProblem reads it), without a row's value
	Records int64  // Records counts those of another writer, since the loader began
	Open    bool   // false: it is over
	At      time.Time
}

func (*Notice) table() string { return "notices" }
func (n *Notice) fields() []any {
	return []any{(*string)(&n.Kind), &n.Name, &n.Loader, &n.Reason, &n.Records, &n.Open, &n.At}
}

const (
	// NoticeEvery is how often a loader repeats its notices: one that was killed says nothing more.
	NoticeEvery = 15 * time.Second
	// noticeSeconds is for how long a notice of a loader counts, foreignSeconds for how long one of foreign records.
	noticeSeconds  = "60"
	foreignSeconds = "600"
)

// Notices gives what loaders say now, by kind and name; none where a loader has never run.
func (l *Ledger) Notices(ctx context.Context) ([]Notice, error) {
	sql := "SELECT kind, name, '', argMax(reason, at) AS why, toUInt64(sum(records)), toUInt8(1), max(at) AS last FROM " + l.table("notices") +
		" FINAL WHERE open = 1 AND at > now64(6) - if(kind = " + schemas.ClickHouseLiteral(string(NoticeForeign)) + ", " + foreignSeconds + ", " + noticeSeconds +
		") GROUP BY kind, name ORDER BY kind, name"
	return queryIfThere(ctx, l, "notices of loaders", sql, (*Notice).fields)
}
