package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

// The numbers in docs/parity.md are those that are measured.
func TestPageIsUpToDate(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds")
	}
	pictures := testutil.Shared(t, "data", "images")
	text, err := os.ReadFile(filepath.Join(testutil.Root(), page))
	require.NoError(t, err)
	made, err := update(t.Context(), testutil.Root(), pictures, text)
	require.NoError(t, err)
	require.Equal(t, string(made), string(text), "run `go run ./tools/parity ../shared/data/images`")
}

func TestUpdateNeedsMarkers(t *testing.T) {
	_, err := update(t.Context(), testutil.Root(), "", []byte("no tables"))
	require.ErrorContains(t, err, "<!-- begin")
}
