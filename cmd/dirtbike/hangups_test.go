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
		out := paced(ctx, hangups, hangupRest)
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

		hangups <- syscall.SIGHUP // while the work lasts
		synctest.Wait()
		hangups <- syscall.SIGHUP
		synctest.Wait()
		hangups <- syscall.SIGHUP
		synctest.Wait()
		<-out
		select {
		case <-out:
			require.Fail(t, "three that came meanwhile are one")
		case <-time.After(10 * time.Second):
		}
	})
}
