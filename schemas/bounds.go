package schemas

// DayMicros is a day in microseconds.
const DayMicros = 86_400_000_000

// The bounds of Date32 and DateTime64(6) that views keep to, though ClickHouse itself may take more (rule 31):
// 1900-01-01 up to the end of 2299, in days and microseconds since 1970-01-01 UTC.
const (
	MinDay   = -25_567
	MaxDay   = 120_529
	MinMicro = MinDay * DayMicros
	MaxMicro = (MaxDay+1)*DayMicros - 1
)
