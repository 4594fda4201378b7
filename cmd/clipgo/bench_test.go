package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBench measures one tower; the test binary stands in for the processes that measure.
func TestBench(t *testing.T) {
	t.Setenv("CLIPGO_TEST_AS_PROGRAM", "1")
	out := clip(t, "bench", "--shape", "vit-b-32", "--tower", "text", "--type", "q4_k_m", "--batch", "1,2", "--threads", "1", "--tokens", "7", "--json").done(t)
	var report struct {
		Machine struct {
			CPU, ISA string
			Ceilings map[string]float64
		}
		Results []map[string]any
	}
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&report))
	assert.NotEmpty(t, report.Machine.CPU)
	for _, key := range []string{"f32_gflops", "bf16_gflops", "int8_gops", "read_gbs"} {
		require.Contains(t, report.Machine.Ceilings, key)
	}
	assert.Greater(t, report.Machine.Ceilings["f32_gflops"], 1.0)
	assert.Greater(t, report.Machine.Ceilings["read_gbs"], 0.1)
	require.Len(t, report.Results, 2)
	for i, r := range report.Results {
		assert.Equal(t, "vit-b-32", r["shape"])
		assert.Equal(t, "text", r["tower"])
		assert.Equal(t, "q4_k_m", r["type"], "as asked for")
		assert.EqualValues(t, i+1, r["batch"])
		assert.EqualValues(t, 1, r["threads"])
		assert.EqualValues(t, 7, r["rows"])
		ms, gflop, share := r["ms"].(float64), r["gflop"].(float64), r["share_of_ceiling"].(float64)
		assert.InDelta(t, 0.53, gflop, 0.01, "a short text costs what its tokens cost")
		assert.Positive(t, ms)
		assert.Greater(t, share, 0.001)
		assert.Less(t, share, 1.5, "4-bit types may exceed the ceiling of 8-bit products a little")
		peak := r["peak_rss_mb"].(float64)
		assert.Greater(t, peak, 30.0, "the token embeddings alone are more")
		assert.Less(t, peak, 400.0)
		assert.Len(t, r, 10, "nothing that nobody asked for")
	}

	text := clip(t, "bench", "--shape", "vit-b-32", "--tower", "text", "--type", "q8_0", "--batch", "1", "--tokens", "2", "--ops").done(t)
	assert.Contains(t, text, "share")
	assert.Regexp(t, `\nvit-b-32 +text +q8_0 +1 +\d+ +2 +\d+\.\d+`, text)
	assert.Regexp(t, `12 x linear ffn_up 512>2048 +\d+\.\d+ +\d+\n`, text)
}

func TestBenchUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"shape":      {[]string{"--shape", "vit-b-32,vit-x"}, []string{`"vit-x"`, "vit-b-32, vit-b-16, vit-l-14, vit-h-14, siglip-so400m"}},
		"no shape":   {[]string{"--shape", ""}, []string{`unknown shape ""`}},
		"type":       {[]string{"--type", "q9"}, []string{`"q9"`, "Q8_0", "Q4_K_M"}},
		"tower":      {[]string{"--tower", "both"}, []string{`"both"`, "image or text"}},
		"batch":      {[]string{"--batch", "1,x"}, []string{`--batch is "1,x"`}},
		"batch 0":    {[]string{"--batch", "0"}, []string{`--batch is "0"`}},
		"threads":    {[]string{"--threads", "-1"}, []string{`--threads is "-1"`}},
		"no threads": {[]string{"--threads", ""}, []string{`--threads is ""`}},
		"many":       {[]string{"--threads", "60000"}, []string{"60000"}},
		"isa":        {[]string{"--isa", "mmx"}, []string{`"mmx"`, "scalar"}},
		"tokens":     {[]string{"--tokens", "78"}, []string{"--tokens is 78", "77 of vit-b-32"}},
		"no tokens":  {[]string{"--tokens", "0"}, []string{"--tokens is 0"}},
		"argument":   {[]string{"x"}, []string{`unexpected argument "x"`}},
		"pictures":   {[]string{"--pictures", "--type", "q8_0"}, []string{"--pictures", "--type is about them"}},
		"two kinds":  {[]string{"--fast", "--activations", "int8"}, []string{"--fast stands for --activations bfloat16", `"int8"`}},
	} {
		t.Run(name, func(t *testing.T) { clip(t, append([]string{"bench"}, c.args...)...).refused(t, c.want...) })
	}
	t.Run("a job that fails", func(t *testing.T) {
		t.Setenv(benchJob, `{"File":"/nonexistent","Tower":"image","Batch":1}`)
		clip(t, "bench").refused(t, "/nonexistent")
		t.Setenv(benchJob, `{`)
		clip(t, "bench").refused(t, benchJob)
	})
}

func TestBenchPictures(t *testing.T) {
	out := clip(t, "bench", "--pictures", "--json").done(t)
	var report struct {
		Results  []any
		Pictures []struct {
			Picture, Decoder string
			Bytes            int
			Decode           float64 `json:"decode_ms"`
			Resize           float64 `json:"resize_ms"`
			Normalize        float64 `json:"normalize_ms"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Empty(t, report.Results)
	require.GreaterOrEqual(t, len(report.Pictures), 2)
	large, small := report.Pictures[0], report.Pictures[len(report.Pictures)-1]
	assert.Equal(t, "4000x3000 JPEG", large.Picture)
	assert.Equal(t, "640x480 JPEG", small.Picture)
	assert.Equal(t, "Go", large.Decoder)
	assert.Greater(t, large.Bytes, 20*small.Bytes)
	assert.Greater(t, large.Decode, 5*small.Decode)
	for _, p := range report.Pictures {
		assert.Positive(t, p.Resize)
		assert.Positive(t, p.Normalize)
	}
}

// TestFast wants --fast to choose bfloat16, which on some processors computes other numbers, and to be the same flag.
func TestFast(t *testing.T) {
	args := []string{"embed", model, "--text", "owl"}
	want := clip(t, append(args, "--activations", "bfloat16")...).done(t)
	require.Equal(t, want, clip(t, append(args, "--fast")...).done(t))
	require.Equal(t, want, clip(t, append(args, "--fast", "--activations", "bfloat16")...).done(t))
	clip(t, append(args, "--fast", "--activations", "float32")...).refused(t, "--fast", `"float32"`)
}
