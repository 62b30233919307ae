// Package pgtext turns Postgres' binary form of a value (what typsend gives, in pgoutput's binary mode and COPY BINARY)
// into exactly the text that Postgres' output function gives under the session settings of every connection of this
// module: DateStyle ISO, TimeZone UTC, IntervalStyle postgres, extra_float_digits 1, bytea_output hex.
//
// It also reads the text of dates and timestamps back into Postgres' own integers. Nothing here allocates beyond dst.
// Its errors never name a value.
package pgtext
