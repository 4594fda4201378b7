package engine

import "github.com/clipgo/clipgo/internal/program"

// partBytes is how large the largest value of a run may grow by taking more items at a time. What passes between ops stays in the
// processor's caches then, and more rows gain nothing from the weights.
const partBytes = 5 << 20

// partSize returns how many of the batch's items are computed at a time, in parts as even as they can be.
func partSize(p *program.Program, batch, rows int) int {
	if batch < 2 || seesOtherItems(p) {
		return batch
	}
	largest := 1
	for _, v := range p.Values {
		if v.Role != program.Input {
			largest = max(largest, 4*v.Rows.At(rows)*v.Width)
		}
	}
	most := max(1, partBytes/largest)
	parts := (batch + most - 1) / most
	return (batch + parts - 1) / parts
}

// seesOtherItems reports whether items may look at rows of the batch before them.
func seesOtherItems(p *program.Program) bool {
	for _, op := range p.Ops {
		if op.Kind == program.Attention && op.Src[3] != program.None && p.Values[op.Src[3]].Width == 2 {
			return true
		}
	}
	return false
}
