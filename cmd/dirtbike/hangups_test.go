package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHangupsArePaced: of a storm the first is worked on at once, and the last is not lost.
func TestHangupsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		hangups := make(chan os.Signal, 1)
		s, out := &service{hangups: hangups, pace: pace()}, make(chan struct{})
		go func() {
			for ctx.Err() == nil {
				select {
				case <-hangups:
					s.rest(ctx)
					out <- struct{}{}
				case <-ctx.Done():
				}
			}
		}()
		began, last := time.Now(), time.Time{}
		go func() {
			for range 100 {
				select { // as signal.Notify does
				case hangups <- syscall.SIGHUP:
				default:
				}
				last = time.Now()
				time.Sleep(10 * time.Millisecond) // the storm's pace
			}
		}()
		var taken []time.Duration
		for {
			select {
			case <-out:
				taken = append(taken, time.Since(began))
				continue
			case <-time.After(10 * time.Second):
			}
			break
		}
		require.Equal(t, []time.Duration{0, hangupRest}, taken)
		require.False(t, began.Add(taken[1]).Before(last))

		for range 3 { // while the work lasts
			select {
			case hangups <- syscall.SIGHUP:
			default:
			}
			synctest.Wait()
		}
		<-out
		<-out
		select {
		case <-out:
			require.Fail(t, "those that came while one was worked on are one")
		case <-time.After(10 * time.Second):
		}
	})
}
