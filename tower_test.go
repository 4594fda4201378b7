package clipgo_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/testutil"
)

// TestReleaseInUse takes the towers from under calls in progress: the answers stay what they were.
func TestReleaseInUse(t *testing.T) {
	m := openDemo(t)
	owl := picture(t, "owl.png")
	labels := []string{"owl", "car", "pizza"}
	want, err := m.Classify(t.Context(), owl, labels)
	require.NoError(t, err)
	var users, releasers sync.WaitGroup
	done := make(chan struct{})
	for _, tower := range []clipgo.Tower{clipgo.ImageTower, clipgo.TextTower} {
		releasers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := m.Release(tower); err != nil {
					t.Errorf("releasing the %v: %v", tower, err)
					return
				}
			}
		})
	}
	for range 4 {
		users.Go(func() {
			for range 5 {
				got, err := m.Classify(t.Context(), owl, labels)
				if err != nil || len(got) != len(want) || got[0] != want[0] || got[2] != want[2] {
					t.Errorf("%v, %v; expected %v", got, err, want)
				}
			}
		})
	}
	users.Wait()
	close(done)
	releasers.Wait()
}

func TestReleaseErrors(t *testing.T) {
	m, err := clipgo.OpenDemo(clipgo.WithLibrary(testutil.Engine(t)))
	require.NoError(t, err)
	require.NoError(t, m.Release(clipgo.TextTower), "it has not come yet")
	require.ErrorContains(t, m.Release(clipgo.Tower(7)), "tower 7")
	require.NoError(t, m.Close())
	require.ErrorIs(t, m.Release(clipgo.ImageTower), clipgo.ErrClosed)
}
