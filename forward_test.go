package clipgo

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/arch"
)

// TestClassTokenBehindText follows open_clip's mask of CoCa's texts: key 0 is seen, key i > 0 where id i-1 is no padding.
func TestClassTokenBehindText(t *testing.T) {
	text := &arch.Text{Tower: arch.Tower{Pooling: arch.PoolAppended}, Context: 6, Vocab: 100, Causal: true}
	for _, c := range []struct {
		name        string
		ids         []int32
		seen, place []int32
		length      int32
	}{
		{"padded", []int32{7, 8, 9, 0, 0, 0}, []int32{7, 8, 9, 0, 99}, []int32{0, 1, 2, 3, 6}, 4},
		{"not padded", []int32{7, 8, 9}, []int32{7, 8, 9, 0, 99}, []int32{0, 1, 2, 3, 6}, 4},
		{"full: the class token sees itself", []int32{1, 2, 3, 4, 5, 6}, []int32{1, 2, 3, 4, 5, 6, 99}, []int32{0, 1, 2, 3, 4, 5, 6}, 7},
		{"full but for one", []int32{1, 2, 3, 4, 5, 0}, []int32{1, 2, 3, 4, 5, 0, 99}, []int32{0, 1, 2, 3, 4, 5, 6}, 6},
		{"the padding's id in the text", []int32{7, 0, 8, 9, 0, 0}, []int32{7, 0, 9, 0, 99}, []int32{0, 1, 3, 4, 6}, 4},
	} {
		row, err := newTextRow(text, 3, c.ids, nil)
		require.NoError(t, err, c.name)
		assert.Equal(t, c.seen, row.ids, c.name)
		assert.Equal(t, c.place, row.places, c.name)
		assert.Equal(t, c.length, row.length, c.name)
		assert.Equal(t, int32(len(c.seen)-1), row.index, c.name)
		assert.Equal(t, 3, row.at, c.name)
	}
}

// TestPlaceholdersAreDropped: BLIP-2 with an image token drops one id for each query.
func TestPlaceholdersAreDropped(t *testing.T) {
	text := &arch.Text{Tower: arch.Tower{Pooling: arch.PoolFirst}, Context: 4, Vocab: 100, Masked: true, Skip: 2}
	row, err := newTextRow(text, 0, []int32{50, 50, 1, 2, 3, 0}, []int32{1, 1, 1, 1, 1, 0})
	require.NoError(t, err)
	assert.Equal(t, []int32{1, 2, 3}, row.ids)
	assert.Equal(t, int32(3), row.length)
	_, err = newTextRow(text, 0, []int32{1, 2}, []int32{1, 1})
	assert.ErrorContains(t, err, "2 tokens, expected more than the 2")
	_, err = newTextRow(text, 0, []int32{1, 2, 3, 4, 5, 6, 7}, nil)
	assert.ErrorContains(t, err, "7 tokens, expected at most 6")
}

// TestHiddenTokensAreLeftOut: the ids that are seen keep their positions, and a pooled one that is hidden comes last.
func TestHiddenTokensAreLeftOut(t *testing.T) {
	tower := func(pooling arch.Pooling, causal, words bool) *arch.Text {
		return &arch.Text{Tower: arch.Tower{Pooling: pooling}, Context: 6, Vocab: 100, Masked: true, Causal: causal, EOS: 9, Pad: 1, CountWords: words}
	}
	for _, c := range []struct {
		name            string
		text            *arch.Text
		ids, mask       []int32
		seen, place     []int32
		pooled, visible int32
	}{
		{"no mask", tower(arch.PoolLast, false, false), []int32{5, 9, 1, 1}, nil, []int32{5, 9, 1, 1}, []int32{0, 1, 2, 3}, 3, 4},
		{"padded, the last pooled", tower(arch.PoolLast, false, false), []int32{5, 9, 1, 1}, []int32{1, 1, 0, 0}, []int32{5, 9, 1}, []int32{0, 1, 3}, 2, 2},
		{"padded before, the first pooled", tower(arch.PoolFirst, false, false), []int32{1, 5, 9}, []int32{0, 1, 1}, []int32{5, 9, 1}, []int32{1, 2, 0}, 2, 2},
		{"a hole, the mean", tower(arch.PoolMean, false, false), []int32{5, 6, 7}, []int32{1, 0, 1}, []int32{5, 7}, []int32{0, 2}, 1, 2},
		{"causal, padded before", tower(arch.PoolEOS, true, false), []int32{1, 5, 9, 7}, []int32{0, 1, 1, 1}, []int32{5, 9}, []int32{1, 2}, 1, 2},
		{"words are counted", tower(arch.PoolFirst, false, true), []int32{1, 5, 1, 9}, []int32{1, 1, 1, 1}, []int32{1, 5, 1, 9}, []int32{0, 1, 0, 2}, 0, 4},
	} {
		row, err := newTextRow(c.text, 0, c.ids, c.mask)
		require.NoError(t, err, c.name)
		assert.Equal(t, c.seen, row.ids, c.name)
		assert.Equal(t, c.place, row.places, c.name)
		assert.Equal(t, c.pooled, row.index, c.name)
		assert.Equal(t, c.visible, row.length, c.name)
	}
	_, err := newTextRow(tower(arch.PoolFirst, false, false), 0, []int32{1, 2}, []int32{0, 0})
	assert.ErrorContains(t, err, "hides every token")
	_, err = newTextRow(tower(arch.PoolFirst, false, false), 0, []int32{1, 2}, []int32{1})
	assert.ErrorContains(t, err, "an attention mask of 1 for 2 tokens")
	causal := &arch.Text{Tower: arch.Tower{Pooling: arch.PoolArgmax}, Context: 6, Vocab: 100, Causal: true}
	_, err = newTextRow(causal, 0, []int32{1, 2, 9}, []int32{0, 1, 1})
	assert.ErrorContains(t, err, "pad on the right")
}
