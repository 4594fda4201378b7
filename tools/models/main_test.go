package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/testutil"
)

// The page tells what the tables say.
func TestPageIsUpToDate(t *testing.T) {
	made, err := write()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(testutil.Root(), page))
	require.NoError(t, err)
	require.Equal(t, string(made), string(text), "run `go run ./tools/models`")
	for _, f := range append(arch.Families(), arch.OpenCLIP) {
		require.NotEmpty(t, f.Examples, f.Type)
	}
	for _, name := range []string{"videoprism", "EVA02", "MobileCLIP", "ConvNeXt", "ModifiedResNet", "PE-Core", "ViTamin", "mmproj"} {
		require.Contains(t, string(text), name)
	}
}
