package convert

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProcessorConfigCountsFirst: transformers 5 saves all parts of a processor in one file.
func TestProcessorConfigCountsFirst(t *testing.T) {
	write := func(t *testing.T, files map[string]string) *source {
		dir := t.TempDir()
		for name, text := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
		return &source{path: dir}
	}
	for name, c := range map[string]struct {
		files      map[string]string
		want, from string
	}{
		"nested":  {map[string]string{"processor_config.json": `{"image_processor": {"size": 1}}`}, `{"size": 1}`, "processor_config.json"},
		"both":    {map[string]string{"processor_config.json": `{"image_processor": {"size": 1}}`, "preprocessor_config.json": `{}`}, `{"size": 1}`, "processor_config.json"},
		"without": {map[string]string{"processor_config.json": `{"processor_class": "X"}`, "preprocessor_config.json": `{}`}, `{}`, "preprocessor_config.json"},
		"old":     {map[string]string{"preprocessor_config.json": `{}`}, `{}`, "preprocessor_config.json"},
	} {
		s := write(t, c.files)
		data, err := s.readPixelsConfig()
		require.NoError(t, err, name)
		assert.JSONEq(t, c.want, string(data), name)
		assert.Equal(t, c.from, s.pixelsName, name)
	}
	_, err := write(t, nil).readPixelsConfig()
	assert.ErrorContains(t, err, "preprocessor_config.json: no such file")
	_, err = write(t, map[string]string{"processor_config.json": `[`}).readPixelsConfig()
	assert.ErrorContains(t, err, "processor_config.json: unexpected end of JSON input")
}
