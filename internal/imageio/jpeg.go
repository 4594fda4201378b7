package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/clipgo/clipgo/internal/sysmem"
)

// jpegReader decodes baseline and progressive JPEG (ITU-T T.81) with 8-bit samples and Huffman coding. It exists because Go's
// decoder differs from libjpeg in half of all pixels, by a level or more where chroma is subsampled.
type jpegReader struct {
	d           *decoder
	w, h        int
	outW, outH  int // of the picture, smaller where it is decoded scaled
	progressive bool
	comps       []jpegComponent
	planes      []byte // of all components
	maxH, maxV  int
	quant       [4]*[64]int32  // zigzag order
	tables      [2][4]*huffman // DC, AC
	restart     int            // MCUs between restart markers, 0: none
	jfif, adobe bool
	transform   byte // Adobe's colour transform
	keepColours bool // neither converted from YCbCr nor inverted, whatever it looks like
	exif, xmp   []byte
	scans       int
	picture     *Picture // already complete, unless another scan comes
}

type jpegComponent struct {
	id           byte
	sampH, sampV int // sampling factors
	stepX, stepY int // pixels per sample
	quant        byte
	side         int // of the square of samples made of a block: 8 or, scaled, less
	w, h         int // samples
	scanW, scanH int // blocks in a scan of this component alone
	blocksW      int // blocks in memory, padded to whole MCUs
	blocksH      int
	plane        []byte  // [side*blocksH, side*blocksW]
	coeffs       []int16 // progressive: [blocksH, blocksW, 64] in zigzag order
	dc           int     // prediction
}

func (c *jpegComponent) planeSize() int { return c.side * c.side * c.blocksW * c.blocksH }

func (c *jpegComponent) row(y int) []byte {
	stride := c.side * c.blocksW
	return c.plane[y*stride : y*stride+c.w]
}

// zigzag is the place in a block [8, 8] of each coefficient in file order.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

func (d *decoder) jpeg() (*Picture, error) {
	j := &jpegReader{d: d}
	p, err := j.decode()
	d.orient(j.exif, j.xmp)
	return p, err
}

func (j *jpegReader) decode() (*Picture, error) {
	if err := j.segments(); err != nil {
		return nil, err
	}
	if j.picture != nil {
		return j.picture, nil
	}
	if j.progressive {
		j.transformAll()
	}
	return j.compose(), nil
}

// segments reads the file from marker to marker.
func (j *jpegReader) segments() error {
	b, pos := j.d.data, 2
	for {
		// Stray bytes before a marker are skipped.
		for pos < len(b) && b[pos] != 0xff {
			pos++
		}
		for pos < len(b) && b[pos] == 0xff {
			pos++
		}
		if pos >= len(b) {
			if j.scans > 0 && !j.progressive {
				return nil // only the end marker is missing
			}
			return errTruncated
		}
		marker := b[pos]
		pos++
		switch {
		case marker == 0xd9:
			if j.scans == 0 {
				return errors.New("no picture in it")
			}
			return nil
		case marker == 0 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd8:
			continue // markers without a segment
		}
		if pos+2 > len(b) {
			return errTruncated
		}
		size := int(binary.BigEndian.Uint16(b[pos:]))
		if size < 2 || pos+size > len(b) {
			return errTruncated
		}
		data := b[pos+2 : pos+size]
		pos += size
		var err error
		if marker == 0xda {
			if j.comps == nil {
				return errors.New("a scan before the frame header")
			}
			if j.scans == 0 && j.decodeElsewhere() {
				return nil
			}
			pos, err = j.scan(data, pos)
		} else {
			err = j.segment(marker, data)
		}
		if err != nil {
			return err
		}
	}
}

func (j *jpegReader) segment(marker byte, data []byte) error {
	switch marker {
	case 0xc0, 0xc1, 0xc2:
		j.progressive = marker == 0xc2
		return j.frame(data)
	case 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf:
		return fmt.Errorf("a frame of type %#x isn't supported: baseline or progressive with Huffman coding expected", marker)
	case 0xc4:
		return j.huffmanTables(data)
	case 0xdb:
		return j.quantTables(data)
	case 0xdd:
		if len(data) < 2 {
			return errTruncated
		}
		j.restart = int(binary.BigEndian.Uint16(data))
	case 0xe0:
		j.jfif = j.jfif || bytes.HasPrefix(data, []byte("JFIF\x00"))
	case 0xe1:
		switch {
		case bytes.HasPrefix(data, []byte("Exif\x00\x00")):
			j.exif = append(j.exif, data[6*min(1, len(j.exif)):]...) // long ones go on in the next segment
		case bytes.HasPrefix(data, []byte("http://ns.adobe.com/xap/1.0/\x00")):
			j.xmp = data
		}
	case 0xee:
		if bytes.HasPrefix(data, []byte("Adobe")) && len(data) >= 12 {
			j.adobe, j.transform = true, data[11]
		}
	}
	return nil
}

func (j *jpegReader) quantTables(b []byte) error {
	for len(b) > 0 {
		wide, slot := int(b[0]>>4), b[0]&15
		size := 64 << wide
		if wide > 1 || slot > 3 {
			return fmt.Errorf("DQT: table %d of precision %d", slot, wide)
		}
		if len(b) < 1+size {
			return errTruncated
		}
		t := new([64]int32)
		for i := range t {
			if wide == 0 {
				t[i] = int32(b[1+i])
			} else {
				t[i] = int32(binary.BigEndian.Uint16(b[1+2*i:]))
			}
		}
		j.quant[slot] = t
		b = b[1+size:]
	}
	return nil
}

// frame reads a frame header and allocates the components.
func (j *jpegReader) frame(b []byte) error {
	if j.comps != nil {
		return errors.New("a second frame")
	}
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return errTruncated
	}
	if b[0] != 8 {
		return fmt.Errorf("%d bits per sample: 8 expected", b[0])
	}
	j.h, j.w = int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	if err := j.d.checkSize(j.w, j.h); err != nil {
		return err
	}
	n := int(b[5])
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("%d colour components: 1, 3 or 4 expected", n)
	}
	j.comps = make([]jpegComponent, n)
	perMCU := 0
	for i := range j.comps {
		e := b[6+3*i:]
		c := jpegComponent{id: e[0], sampH: int(e[1] >> 4), sampV: int(e[1] & 15), quant: e[2]}
		if c.sampH < 1 || c.sampH > 4 || c.sampV < 1 || c.sampV > 4 || c.quant > 3 {
			return fmt.Errorf("component %d: sampling %d x %d, quantisation table %d", i, c.sampH, c.sampV, c.quant)
		}
		if n == 1 {
			c.sampH, c.sampV = 1, 1 // they would only say how blocks are grouped, and one component is never grouped
		}
		j.maxH, j.maxV = max(j.maxH, c.sampH), max(j.maxV, c.sampV)
		perMCU += c.sampH * c.sampV
		j.comps[i] = c
	}
	n8 := scaleFor(j.w, j.h, j.d.ShortSide)
	j.outW, j.outH = ceilDiv(j.w*n8, 8), ceilDiv(j.h*n8, 8)
	mcusW, mcusH := ceilDiv(j.w, 8*j.maxH), ceilDiv(j.h, 8*j.maxV)
	// The first scan of a block takes at least a bit: a header that promises more is refused before memory is taken for it.
	if mcusW*mcusH*perMCU > 8*len(j.d.data) {
		return fmt.Errorf("%d x %d pixels can't be in %d bytes: %w", j.w, j.h, len(j.d.data), errTruncated)
	}
	for i := range j.comps {
		c := &j.comps[i]
		if j.maxH%c.sampH != 0 || j.maxV%c.sampV != 0 {
			return fmt.Errorf("component %d: sampling %d x %d of %d x %d isn't a whole ratio", i, c.sampH, c.sampV, j.maxH, j.maxV)
		}
		c.stepX, c.stepY = j.maxH/c.sampH, j.maxV/c.sampV
		c.scanW, c.scanH = ceilDiv(ceilDiv(j.w, c.stepX), 8), ceilDiv(ceilDiv(j.h, c.stepY), 8)
		c.side = n8
		c.w, c.h = ceilDiv(j.outW, c.stepX), ceilDiv(j.outH, c.stepY)
		c.blocksW, c.blocksH = mcusW*c.sampH, mcusH*c.sampV
	}
	return nil
}

// scaled reports whether blocks become fewer samples than they have: of a picture one pixel wide, the size doesn't tell.
func (j *jpegReader) scaled() bool { return j.comps[0].side < 8 }

// allocate makes room for what the scans bring.
func (j *jpegReader) allocate() {
	size := 0
	for i := range j.comps {
		size += j.comps[i].planeSize()
	}
	j.planes = sysmem.Large(size)
	at := 0
	for i := range j.comps {
		c := &j.comps[i]
		c.plane = j.planes[at : at+c.planeSize()]
		at += len(c.plane)
		if j.progressive {
			c.coeffs = make([]int16, 64*c.blocksW*c.blocksH)
		}
	}
}

// decodeElsewhere lets Options.JPEG decode the file, whose header is read, if it is of a kind that cameras make. What it can't
// decode without complaint is left to the reader here, which knows what to say.
func (j *jpegReader) decodeElsewhere() bool {
	if j.d.JPEG == nil || j.scaled() || j.keepColours || len(j.comps) != 1 && len(j.comps) != 3 {
		return false
	}
	mode := Grey
	if len(j.comps) == 3 {
		mode = RGB24
		y, cb, cr := j.comps[0], j.comps[1], j.comps[2]
		if cb.stepX != j.maxH || cb.stepY != j.maxV || cr.stepX != j.maxH || cr.stepY != j.maxV || y.stepX != 1 || y.stepY != 1 {
			return false
		}
		if sampling := [2]int{j.maxH, j.maxV}; sampling != [2]int{1, 1} && sampling != [2]int{2, 1} && sampling != [2]int{2, 2} {
			return false
		}
	}
	p, ready := newFullPicture(mode, j.w, j.h)
	err := j.d.JPEG(p.Pix, j.d.data, j.w, j.h, len(j.comps))
	ready()
	if err != nil {
		p.Recycle()
		return false
	}
	j.picture = p
	return true
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// scanParams are what a scan header says.
type scanParams struct {
	comps      []*jpegComponent
	dc, ac     []*huffman // of each component
	from, to   int        // coefficients, zigzag order
	high, low  int        // progressive: bits already sent, bits still to come
	r          bitReader
	eobRun     int // progressive: blocks still without new coefficients
	refinement bool
	coeffs     [64]int16 // of a block in hand
	bands      *bands    // nil: blocks are transformed as they are read
}

// scan decodes a scan of the frame: its header is b, and its data begin at pos. It returns where they end.
func (j *jpegReader) scan(b []byte, pos int) (end int, err error) {
	if j.comps[0].plane == nil {
		j.allocate()
	}
	if len(b) < 1 || len(b) < 4+2*int(b[0]) {
		return 0, errTruncated
	}
	n := int(b[0])
	if n < 1 || n > len(j.comps) {
		return 0, fmt.Errorf("a scan of %d components", n)
	}
	tail := b[1+2*n:]
	s := &scanParams{from: int(tail[0]), to: int(tail[1]), high: int(tail[2] >> 4), low: int(tail[2] & 15), r: bitReader{data: j.d.data}}
	if !j.progressive {
		s.from, s.to, s.high, s.low = 0, 63, 0, 0
	} else if s.from > s.to || s.to > 63 || s.from == 0 && s.to != 0 || s.from > 0 && n != 1 || s.low > 13 || s.high > 13 {
		return 0, fmt.Errorf("a scan of coefficients %d to %d, bits %d to %d", s.from, s.to, s.high, s.low)
	}
	j.picture = nil
	s.refinement = s.high > 0
	s.r.interval(pos)
	if c, err := j.component(b[1]); err == nil && j.progressive && s.from > c.lastNeeded() {
		j.scans++
		return s.r.pos, nil // nothing of it would be seen
	}
	blocks := 0
	for i := range n {
		c, err := j.component(b[1+2*i])
		if err != nil {
			return 0, err
		}
		dc, ac := j.table(0, b[2+2*i]>>4), j.table(1, b[2+2*i]&15)
		if dc == nil && s.from == 0 && !s.refinement || ac == nil && s.to > 0 {
			return 0, errors.New("a scan whose Huffman table is missing")
		}
		if j.quant[c.quant] == nil {
			return 0, fmt.Errorf("quantisation table %d is missing", c.quant)
		}
		c.dc = 0
		s.comps, s.dc, s.ac = append(s.comps, c), append(s.dc, dc), append(s.ac, ac)
		blocks += c.sampH * c.sampV
	}
	if n > 1 && blocks > 10 {
		return 0, fmt.Errorf("%d blocks in an MCU: at most 10 expected", blocks)
	}
	if err := j.mcus(s); err != nil {
		return 0, err
	}
	j.scans++
	return s.r.pos, nil
}

func (j *jpegReader) component(id byte) (*jpegComponent, error) {
	for i := range j.comps {
		if j.comps[i].id == id {
			return &j.comps[i], nil
		}
	}
	return nil, fmt.Errorf("a scan of component %d, which the frame doesn't have", id)
}

func (j *jpegReader) table(class int, slot byte) *huffman {
	if slot > 3 {
		return nil
	}
	return j.tables[class][slot]
}

// scanSize is how many units a scan has.
func (j *jpegReader) scanSize(s *scanParams) (w, h int) {
	if len(s.comps) == 1 {
		return s.comps[0].scanW, s.comps[0].scanH
	}
	return ceilDiv(j.w, 8*j.maxH), ceilDiv(j.h, 8*j.maxV)
}

// mcus decodes all units of a scan: single blocks of a lone component, else groups of blocks of each.
func (j *jpegReader) mcus(s *scanParams) error {
	if quarter := j.comps[0].side <= 2; quarter && !j.progressive && j.restart == 0 && len(s.comps) == len(j.comps) {
		return j.scaledMCUs(s)
	}
	w, h := j.scanSize(s)
	s.bands = j.newBands(s, h)
	if s.bands == nil {
		return j.units(s, w, h)
	}
	if err := s.bands.read(w, h); err != nil {
		return err
	}
	j.picture = s.bands.picture
	return nil
}

// units decodes a scan of w x h units.
func (j *jpegReader) units(s *scanParams, w, h int) error {
	alone := len(s.comps) == 1
	left := j.restart
	for y := range h {
		if s.bands != nil {
			s.bands.begin(y)
		}
		for x := range w {
			if j.restart > 0 {
				if left == 0 {
					s.r.restart()
					s.eobRun = 0
					for _, c := range s.comps {
						c.dc = 0
					}
					left = j.restart
				}
				left--
			}
			if alone {
				j.block(s, 0, x, y)
			} else {
				for i, c := range s.comps {
					for v := range c.sampV {
						for u := range c.sampH {
							j.block(s, i, x*c.sampH+u, y*c.sampV+v)
						}
					}
				}
			}
			if s.r.truncated() {
				return errTruncated
			}
		}
		if s.bands != nil {
			s.bands.end()
		}
	}
	return nil
}

// block decodes block (x, y) of the scan's i-th component.
func (j *jpegReader) block(s *scanParams, i, x, y int) {
	c := s.comps[i]
	at := y*c.blocksW + x
	if j.progressive {
		coeffs := c.coeffs[64*at : 64*at+64 : 64*at+64]
		switch {
		case s.from == 0:
			s.progressiveDC(c, s.dc[i], coeffs)
		case s.refinement:
			s.refineAC(s.ac[i], coeffs)
		default:
			s.firstAC(s.ac[i], coeffs)
		}
		return
	}
	c.dc += s.r.difference(s.dc[i])
	if s.bands != nil {
		coeffs, last := s.bands.block(i, x, y)
		coeffs[0] = int16(c.dc)
		*last = uint8(s.r.coefficients(s.ac[i], coeffs))
		return
	}
	s.coeffs = [64]int16{int16(c.dc)}
	last := s.r.coefficients(s.ac[i], &s.coeffs)
	c.transformCoefficients(s.coeffs[:], last, j.quant[c.quant], x, y)
}

// transformCoefficients makes the samples of block (x, y) from coefficients in file order; those behind last are 0.
func (c *jpegComponent) transformCoefficients(coeffs []int16, last int, quant *[64]int32, x, y int) {
	var block [64]int32
	for k, v := range coeffs[:last+1] {
		block[zigzag[k]&63] = int32(int16(int32(v) * quant[k&63])) // modulo 2^16, as in libjpeg-turbo's 16-bit lanes
	}
	c.transform(&block, last, x, y)
}

// transform makes the samples of block (x, y); last is the place (zigzag) of the last coefficient that may not be 0.
func (c *jpegComponent) transform(b *[64]int32, last, x, y int) {
	stride := c.side * c.blocksW
	dst := c.plane[c.side*(y*stride+x):]
	if c.side == 8 {
		idct(b, last, dst, stride)
	} else {
		scaledIDCT(b, c.side, dst, stride)
	}
}

func (s *scanParams) progressiveDC(c *jpegComponent, table *huffman, b []int16) {
	if s.refinement {
		b[0] |= int16(s.r.bits(1) << s.low)
		return
	}
	c.dc += s.r.extended(s.r.symbol(table))
	b[0] = int16(c.dc << s.low)
}

// firstAC reads the upper bits of a band of coefficients.
func (s *scanParams) firstAC(table *huffman, b []int16) {
	if s.eobRun > 0 {
		s.eobRun--
		return
	}
	for k := s.from; k <= s.to; k++ {
		v := s.r.symbol(table)
		run, size := v>>4, v&15
		if size == 0 {
			if run < 15 { // this block and 2^run - 1 + bits more have nothing left
				s.eobRun = 1<<run + s.r.bits(run) - 1
				return
			}
			k += 15
			continue
		}
		k = min(k+run, 63)
		b[k] = int16(s.r.extended(size) << s.low)
	}
}

// refineAC reads one more bit of a band: of every coefficient that is not 0 yet, and the new ones between.
func (s *scanParams) refineAC(table *huffman, b []int16) {
	bit := int16(1) << s.low
	k := s.from
	// correct refines a coefficient that is not 0.
	correct := func() {
		if s.r.bits(1) != 0 && b[k]&bit == 0 {
			if b[k] >= 0 {
				b[k] += bit
			} else {
				b[k] -= bit
			}
		}
	}
	for s.eobRun == 0 && k <= s.to {
		v := s.r.symbol(table)
		run, size := v>>4, v&15
		fresh := int16(0)
		if size == 0 {
			if run < 15 {
				s.eobRun = 1<<run + s.r.bits(run)
				break
			}
		} else if fresh = -bit; s.r.bits(1) != 0 {
			fresh = bit
		}
		for ; k <= s.to; k++ {
			if b[k] != 0 {
				correct()
				continue
			}
			if run == 0 {
				b[k] = fresh
				k++
				break
			}
			run--
		}
	}
	if s.eobRun > 0 {
		for ; k <= s.to; k++ {
			if b[k] != 0 {
				correct()
			}
		}
		s.eobRun--
	}
}

// transformAll turns the coefficients of a progressive picture into samples.
func (j *jpegReader) transformAll() {
	for i := range j.comps {
		c := &j.comps[i]
		quant := j.quant[c.quant]
		if quant == nil {
			continue // no scan had this component: it stays 0
		}
		inParallel(c.blocksH, j.w*j.h>>19, func(from, to int) {
			for at := from * c.blocksW; at < to*c.blocksW; at++ {
				coeffs, last := c.coeffs[64*at:64*at+64], 63
				for last > 0 && coeffs[last] == 0 {
					last--
				}
				c.transformCoefficients(coeffs, last, quant, at%c.blocksW, at/c.blocksW)
			}
		})
		c.coeffs = nil
	}
}

// compose puts the components together.
func (j *jpegReader) compose() *Picture {
	p, ycc := j.newPicture()
	inParallel(j.outH, 1+j.outW*j.outH>>20, func(from, to int) { j.rows(p, ycc, from, to) })
	return p
}

// newPicture makes an empty one. Its components are RGB or CMYK as they are stored, or YCbCr; which, is libjpeg's guess.
func (j *jpegReader) newPicture() (p *Picture, ycc bool) {
	mode := Grey
	switch len(j.comps) {
	case 3:
		mode = RGB24
		ids := [3]byte{j.comps[0].id, j.comps[1].id, j.comps[2].id}
		switch {
		case j.jfif:
			ycc = true
		case j.adobe:
			ycc = j.transform != 0
		default:
			ycc = ids != [3]byte{'R', 'G', 'B'}
		}
	case 4:
		mode = CMYK32
		ycc = j.adobe && j.transform != 0
	}
	return newPicture(mode, j.outW, j.outH), ycc && !j.keepColours
}

// yccRows makes rows from..to outside of Go, if that is possible.
func (j *jpegReader) yccRows(p *Picture, from, to int) bool {
	if j.d.YCC == nil || len(j.comps) != 3 || from == to {
		return false
	}
	y, cb, cr := &j.comps[0], &j.comps[1], &j.comps[2]
	across, down := cb.stepX, cb.stepY
	common := across == 1 && down == 1 || across == 2 && down <= 2 && cb.w > 2 // narrower ones are not interpolated
	if !common || y.stepX != 1 || y.stepY != 1 || cr.stepX != across || cr.stepY != down || cr.blocksW != cb.blocksW {
		return false
	}
	return j.d.YCC(&YCCRows{
		Width: j.outW, Height: j.outH, Across: across, Down: down, First: from, Rows: to - from, Planes: j.planes,
		YStride: y.side * y.blocksW, ChromaStride: cb.side * cb.blocksW, CbOffset: len(y.plane), CrOffset: len(y.plane) + len(cb.plane),
		Dst: p.Pix[3*j.outW*from : 3*j.outW*to],
	}) == nil
}

// rows makes rows from..to of the picture.
func (j *jpegReader) rows(p *Picture, ycc bool, from, to int) {
	if ycc && j.yccRows(p, from, to) {
		return
	}
	n, w := len(j.comps), j.outW
	bufs := make([]byte, n*w)
	sums := make([]int32, w)
	rows := make([][]byte, n)
	for y := from; y < to; y++ {
		for i := range j.comps {
			rows[i] = j.comps[i].upsampled(y, bufs[i*w:(i+1)*w], sums)
		}
		dst := p.Pix[y*w*n : (y+1)*w*n]
		if n == 1 {
			copy(dst, rows[0])
			continue
		}
		first := 0
		if ycc {
			yccRow(dst, rows[0], rows[1], rows[2], n)
			first = 3
		}
		for i := first; i < n; i++ {
			for x, v := range rows[i][:w] {
				dst[x*n+i] = v
			}
		}
		// Adobe stores ink inverted, and Pillow takes every CMYK for Adobe's. YCCK's first three are inverted twice.
		if n == 4 && !j.keepColours {
			for i := range dst {
				if i%4 >= first {
					dst[i] = 255 - dst[i]
				}
			}
		}
	}
}
