package clipgo

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

func textsOf(ids ...[]int32) (rows []textRow) {
	for i, ids := range ids {
		rows = append(rows, textRow{at: i, ids: ids, index: int32(len(ids) - 1), length: int32(len(ids))})
	}
	return rows
}

// TestCommonIDs: a text keeps one id of its own at least, and a single one has nobody to share with.
func TestCommonIDs(t *testing.T) {
	assert.Equal(t, 0, commonIDs(textsOf([]int32{1, 2, 3})))
	assert.Equal(t, 2, commonIDs(textsOf([]int32{1, 2, 3, 9}, []int32{1, 2, 4})))
	assert.Equal(t, 2, commonIDs(textsOf([]int32{1, 2, 9}, []int32{1, 2, 9})))
	assert.Equal(t, 0, commonIDs(textsOf([]int32{1, 2}, []int32{1})))
	assert.Equal(t, 0, commonIDs(textsOf([]int32{1, 2}, []int32{3, 2})))
}

// TestTextBatch: five common ids fill two items of three rows, which lie before the texts.
func TestTextBatch(t *testing.T) {
	rows := textsOf([]int32{1, 2, 3, 4, 5, 10, 11, 99}, []int32{1, 2, 3, 4, 5, 12, 99}, []int32{1, 2, 3, 4, 5, 99})
	b := newTextBatch(textGroup{rows, 5}, 2048)
	assert.Equal(t, 3, b.width)
	assert.Equal(t, 2, b.before())
	in := b.inputs()
	assert.Equal(t, []int32{1, 2, 3, 4, 5, 0, 10, 11, 99, 12, 99, 0, 99, 0, 0}, in[0].I32, "ids")
	assert.Equal(t, []int32{0, 1, 2, 3, 4, 0, 5, 6, 7, 5, 6, 0, 5, 0, 0}, in[1].I32, "places")
	assert.Equal(t, []int32{2, 1, 2, 1, 0}, in[2].I32, "index")
	assert.Equal(t, []int32{3, 0, 2, 3, 3, 5, 2, 5, 1, 5}, in[4].I32, "keys")

	b = newTextBatch(textGroup{rows[:1], 5}, 2048)
	assert.Zero(t, b.common, "one text alone has nothing to share")
	b = newTextBatch(textGroup{rows, 5}, 7)
	assert.Len(t, b.rows, 2, "two texts of three rows fill seven")
}

// TestTextGroups: texts of three templates are three groups, and a few others a fourth.
func TestTextGroups(t *testing.T) {
	var ids [][]int32
	for i := range int32(100) {
		ids = append(ids, []int32{1, 2, 3, 100 + i, 9}, []int32{1, 2, 4, 5, 100 + i, 9}, []int32{1, 2, 4, 6, 7, 100 + i, 9})
	}
	ids = append(ids, []int32{1, 7, 9}, []int32{1, 9})
	var sizes, common []int
	seen := map[int]bool{}
	for _, g := range textGroups(textsOf(ids...)) {
		sizes, common = append(sizes, len(g.rows)), append(common, g.common)
		for _, r := range g.rows {
			seen[r.at] = true
		}
	}
	assert.Equal(t, []int{100, 100, 100, 2}, sizes)
	assert.Equal(t, []int{3, 4, 5, 1}, common)
	assert.Len(t, seen, len(ids))

	same := make([][]int32, 200)
	for i := range same {
		same[i] = []int32{1, 2, 9}
	}
	assert.Len(t, textGroups(textsOf(same...)), 1, "equal texts end the parting")
	assert.Len(t, textGroups(textsOf([]int32{1, 2})), 1)
	assert.Empty(t, textGroups(nil))
}

// TestTextsShareTheirBeginning: together with a thousand others a text has the embedding that it has alone.
func TestTextsShareTheirBeginning(t *testing.T) {
	for _, activations := range []Activations{Float32, Int8} {
		m, err := Open("testdata/demo.gguf", WithLibrary(testutil.Engine(t)), WithActivations(activations))
		require.NoError(t, err)
		defer m.Close()
		require.True(t, m.arch.Text.Shares())
		var texts []string
		for i := range 1000 {
			texts = append(texts, fmt.Sprintf("This is a photo of an owl that sits on %d cars.", i))
		}
		all, err := m.EncodeTexts(context.Background(), texts)
		require.NoError(t, err)
		for i := 0; i < len(texts); i += 97 {
			alone, err := m.EncodeText(context.Background(), texts[i])
			require.NoError(t, err)
			assert.Greater(t, dot(alone, all[i]), float32(0.99999), texts[i])
		}
	}
}
