package ordered

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMapKeepsOrder(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 16} {
		var got []int
		err := Map(context.Background(), 100, workers, func(_ context.Context, _, i int) (int, error) {
			time.Sleep(time.Duration((i*7)%5) * 100 * time.Microsecond)
			return i * i, nil
		}, func(i, v int) error {
			require.Equal(t, i*i, v)
			got = append(got, i)
			return nil
		})
		require.NoError(t, err)
		require.Len(t, got, 100)
		require.IsIncreasing(t, got)
	}
}

func TestMapOfNothing(t *testing.T) {
	require.NoError(t, Map(context.Background(), 0, 2, func(context.Context, int, int) (int, error) {
		return 0, errors.New("called")
	}, func(int, int) error { return errors.New("called") }))
}

func TestMapBoundsWhatWaits(t *testing.T) {
	var ahead, most atomic.Int64
	err := Map(context.Background(), 200, 2, func(context.Context, int, int) (int, error) {
		if n := ahead.Add(1); n > most.Load() {
			most.Store(n)
		}
		return 0, nil
	}, func(int, int) error {
		time.Sleep(50 * time.Microsecond)
		ahead.Add(-1)
		return nil
	})
	require.NoError(t, err)
	require.LessOrEqual(t, most.Load(), int64(2*2+2+1), "results that wait, slots in the workers' hands, one being consumed")
}

func TestMapStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	err := Map(context.Background(), 1000, 4, func(_ context.Context, _, i int) (int, error) {
		if i == 10 {
			return 0, broken
		}
		return i, nil
	}, func(i, _ int) error {
		require.Less(t, i, 10)
		return nil
	})
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, Map(context.Background(), 10, 2, func(context.Context, int, int) (int, error) { return 0, nil },
		func(i, _ int) error { return broken }), broken)
}

func TestMapStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err := Map(ctx, 1_000_000, 2, func(context.Context, int, int) (int, error) { return 0, nil }, func(int, int) error {
		if n++; n == 5 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, n, 1000)
}
