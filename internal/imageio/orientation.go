package imageio

// Orientation is EXIF's: how stored pixels are meant to be seen, 1 to 8. 0 and 1 mean as they are.
//
//	1 upright                     5 transposed
//	2 mirrored left-right         6 to be turned clockwise
//	3 upside down                 7 transposed over the other diagonal
//	4 mirrored top-bottom         8 to be turned anticlockwise
type Orientation int

// Transposed reports whether stored columns are rows to be seen.
func (o Orientation) Transposed() bool { return o >= 5 && o <= 8 }

// Mirrored reports whether the stored columns, and the stored rows, run the other way than the axis on which they are seen.
func (o Orientation) Mirrored() (columns, rows bool) {
	switch o {
	case 2:
		return true, false
	case 3, 7:
		return true, true
	case 4, 6:
		return false, true
	case 8:
		return true, false
	}
	return false, false
}

// Size returns the size at which a stored picture of w x h is seen.
func (o Orientation) Size(w, h int) (int, int) {
	if o.Transposed() {
		return h, w
	}
	return w, h
}

// Turn returns pixels [h, w, n] as they are to be seen, and their size then. It copies unless they are upright already.
func (o Orientation) Turn(pix []byte, w, h, n int) ([]byte, int, int) {
	if o < 2 || o > 8 {
		return pix, w, h
	}
	// Source index of output (x, y) = start + x*stepX + y*stepY, in pixels.
	columns, rows := o.Mirrored()
	start, stepX, stepY := 0, 1, w
	if columns {
		start, stepX = start+w-1, -1
	}
	if rows {
		start, stepY = start+(h-1)*w, -w
	}
	if o.Transposed() {
		stepX, stepY = stepY, stepX
	}
	ow, oh := o.Size(w, h)
	out := make([]byte, len(pix))
	d := 0
	for y := range oh {
		s := (start + y*stepY) * n
		for range ow {
			copy(out[d:d+n], pix[s:s+n])
			d += n
			s += stepX * n
		}
	}
	return out, ow, oh
}
