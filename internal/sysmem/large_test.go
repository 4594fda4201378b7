package sysmem

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLarge(t *testing.T) {
	for _, n := range []int{0, 1, largePage, 8<<20 + 1, 36_000_000} {
		b := Large(n)
		require.Len(t, b, n)
		pages := wholeLargePages(b)
		require.Zero(t, len(pages)%largePage)
		stop := FetchAhead(b)
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("byte %d of %d is not 0", i, n)
			}
			b[i] = byte(i%251 + 1)
		}
		stop()
		for i := range b {
			if b[i] != byte(i%251+1) {
				t.Fatalf("byte %d of %d was changed by fetching its page", i, n)
			}
		}
		FetchAhead(b)()
	}
}
