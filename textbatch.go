package clipgo

import (
	"context"
	"slices"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/engine"
)

// textBatch is texts that are computed together. What all begin with, "This is a photo of" before a thousand labels, is computed once:
// it fills items of its own before the texts, and the texts' rows see its rows as if they were their own.
type textBatch struct {
	rows   []textRow // the first is the longest
	common int       // ids that are computed once
	width  int       // rows of an item
}

// commonIDs returns how many ids all texts begin with. Each keeps one at least of its own.
func commonIDs(rows []textRow) int {
	if len(rows) < 2 {
		return 0
	}
	first, n := rows[0].ids, len(rows[0].ids)
	for _, r := range rows[1:] {
		n = min(n, len(r.ids))
		for i := range n {
			if r.ids[i] != first[i] {
				n = i
				break
			}
		}
	}
	return max(0, min(n, len(rows[len(rows)-1].ids)-1))
}

// textGroup is texts that begin with the same `common` ids, the longest first.
type textGroup struct {
	rows   []textRow
	common int
}

// newTextGroup sorts rows.
func newTextGroup(rows []textRow, common int) textGroup {
	slices.SortStableFunc(rows, func(a, b textRow) int { return len(b.ids) - len(a.ids) })
	return textGroup{rows, common}
}

// textGroups parts texts by how they begin: of labels in several templates, those of a template share more with each other than
// with the rest. A group of its own is worth the run that it takes if it has some dozens of texts. It sorts rows.
func textGroups(rows []textRow) (groups []textGroup) {
	const worthwhile = 64
	slices.SortStableFunc(rows, func(a, b textRow) int { return slices.Compare(a.ids, b.ids) })
	var part func(rows []textRow)
	part = func(rows []textRow) {
		next, all := commonIDs(rows), len(rows) // next: the first place where they differ, or one of them ends
		var rest []textRow
		for len(rows) > 0 {
			n := 1
			for n < len(rows) && rows[n].ids[next] == rows[0].ids[next] {
				n++
			}
			if n < worthwhile || n == all {
				rest = append(rest, rows[:n]...)
			} else {
				part(rows[:n])
			}
			rows = rows[n:]
		}
		if rest != nil {
			groups = append(groups, newTextGroup(rest, commonIDs(rest)))
		}
	}
	part(rows)
	return groups
}

// newTextBatch takes as many texts as fill `most` rows, and their common ids apart if that makes fewer rows in all.
func newTextBatch(g textGroup, most int) *textBatch {
	longest := len(g.rows[0].ids)
	b := &textBatch{common: g.common, width: longest - g.common}
	n := min(len(g.rows), max(1, most/b.width))
	if (b.before()+n)*b.width >= n*longest {
		b.common, b.width = 0, longest
		n = min(len(g.rows), max(1, most/longest))
	}
	b.rows = g.rows[:n]
	return b
}

// before is how many items hold the common ids.
func (b *textBatch) before() int { return (b.common + b.width - 1) / b.width }

// run puts the texts' embeddings into their places in all.
func (b *textBatch) run(ctx context.Context, tower *engine.Runner, all [][]float32) error {
	items := b.before() + len(b.rows)
	out, err := tower.Run(ctx, items, b.width, b.inputs()...)
	if err != nil {
		return err
	}
	for i, e := range split(out[0], items)[b.before():] {
		all[b.rows[i].at] = e
	}
	return nil
}

// inputs are the inputs of the text tower, also those that this one doesn't have.
func (b *textBatch) inputs() []engine.Input {
	in := &textInputs{width: b.width}
	for at := 0; at < b.common; at += b.width {
		in.add(b.rows[0], at, min(at+b.width, b.common))
	}
	for _, r := range b.rows {
		in.add(r, b.common, len(r.ids))
	}
	return []engine.Input{
		{Name: arch.InputIDs, I32: in.ids},
		{Name: arch.InputPlaces, I32: in.places},
		{Name: arch.InputIndex, I32: in.index},
		{Name: arch.InputLengths, I32: in.lengths},
		{Name: arch.InputKeys, I32: in.keys},
	}
}

type textInputs struct {
	width                             int
	ids, places, index, lengths, keys []int32
}

// add appends ids from..to of a text as an item, behind which lie those before them.
func (in *textInputs) add(r textRow, from, to int) {
	for i := from; i < to; i++ {
		in.ids = append(in.ids, r.ids[i])
		place := int32(i)
		if r.places != nil {
			place = r.places[i]
		}
		in.places = append(in.places, place)
	}
	padding := make([]int32, in.width-(to-from)) // never seen: masked, or after the pooled row
	in.ids, in.places = append(in.ids, padding...), append(in.places, padding...)
	in.index = append(in.index, min(r.index, int32(to-1))-int32(from))
	in.lengths = append(in.lengths, r.length)
	in.keys = append(in.keys, int32(to-from), int32(from))
}
