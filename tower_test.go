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

// TestMemoryGivenBack looks at what the engine holds for each tower.
func TestMemoryGivenBack(t *testing.T) {
	m := openDemo(t)
	held := func(tower clipgo.Tower) int64 {
		n, err := m.Memory(tower)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, held(clipgo.TextTower))
	labels := []string{"owl", "car"}
	c, err := m.NewClassifier(t.Context(), labels)
	require.NoError(t, err)
	require.Positive(t, held(clipgo.TextTower))
	require.Zero(t, held(clipgo.ImageTower))
	require.NoError(t, m.Release(clipgo.TextTower))
	require.Zero(t, held(clipgo.TextTower))
	want, err := c.Classify(t.Context(), picture(t, "owl.png"))
	require.NoError(t, err)
	require.Zero(t, held(clipgo.TextTower), "labels are encoded once")
	require.Greater(t, held(clipgo.ImageTower), int64(1<<20), "the demo model's weights")
	require.NoError(t, m.Release(clipgo.ImageTower))
	require.Zero(t, held(clipgo.ImageTower))
	got, err := m.Classify(t.Context(), picture(t, "owl.png"), labels)
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, err = m.Memory(clipgo.Tower(7))
	require.ErrorContains(t, err, "tower 7")
}
