package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/webp"
)

// A WebP is a RIFF file: chunks of name, length, data (padded to even). A simple one has a single VP8 (lossy) or VP8L (lossless)
// chunk; an extended one begins with VP8X and adds alpha, metadata and frames (ANMF).

type webpFile struct {
	w, h        int // canvas
	alpha       bool
	x, y        int // of the frame on the canvas
	exif, xmp   []byte
	alphaPlane  []byte // ALPH
	frame       []byte // VP8 or VP8L
	frameChunk  string
	haveCanvas  bool
	haveFrame   bool
	frameW      int
	frameH      int
	frameHasDim bool
}

func (d *decoder) webp() (*Picture, error) {
	f := &webpFile{}
	if err := riffChunks(d.data[12:], f.chunk); err != nil {
		return nil, err
	}
	if !f.haveFrame {
		return nil, errors.New("no picture in it")
	}
	w, h, alpha, err := webpFrameSize(f.frameChunk, f.frame)
	if err != nil {
		return nil, err
	}
	if f.frameHasDim && (w != f.frameW || h != f.frameH) {
		return nil, fmt.Errorf("the frame has %d x %d pixels, its header says %d x %d", w, h, f.frameW, f.frameH)
	}
	if !f.haveCanvas {
		f.w, f.h, f.alpha = w, h, alpha
	}
	if f.x+w > f.w || f.y+h > f.h {
		return nil, fmt.Errorf("the frame of %d x %d pixels at %d, %d leaves the canvas of %d x %d", w, h, f.x, f.y, f.w, f.h)
	}
	if err := d.checkSize(f.w, f.h); err != nil {
		return nil, err
	}
	d.orient(f.exif, f.xmp)
	img, err := webp.Decode(bytes.NewReader(f.still(w, h)))
	if err != nil {
		return nil, noEOF(err)
	}
	mode := RGB24
	if f.alpha {
		mode = RGBA32
	}
	p := newPicture(mode, f.w, f.h)
	return p, f.draw(p, img)
}

// riffChunks calls f for each chunk. A chunk cut off by the end of the file is an error.
func riffChunks(b []byte, f func(name string, data []byte) error) error {
	for len(b) >= 8 {
		name, size := string(b[:4]), uint64(binary.LittleEndian.Uint32(b[4:]))
		if size > uint64(len(b)-8) {
			return fmt.Errorf("chunk %q: %d bytes announced, %d left: %w", name, size, len(b)-8, errTruncated)
		}
		if err := f(name, b[8:8+size]); err != nil {
			return err
		}
		b = b[min(len(b), int(8+size+size&1)):]
	}
	return nil
}

func u24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func (f *webpFile) chunk(name string, b []byte) error {
	switch name {
	case "VP8X": // flags, reserved, canvas width and height less one
		if len(b) < 10 {
			return errTruncated
		}
		f.alpha, f.w, f.h, f.haveCanvas = b[0]&0x10 != 0, u24(b[4:])+1, u24(b[7:])+1, true
	case "ANMF": // position / 2, size less one, duration, flags, chunks of the frame
		if f.haveFrame {
			return nil // the first frame is enough
		}
		if len(b) < 16 {
			return errTruncated
		}
		f.x, f.y = 2*u24(b), 2*u24(b[3:])
		f.frameW, f.frameH, f.frameHasDim = u24(b[6:])+1, u24(b[9:])+1, true
		return riffChunks(b[16:], f.chunk)
	case "ALPH":
		if !f.haveFrame {
			f.alphaPlane = b
		}
	case "VP8 ", "VP8L":
		if !f.haveFrame {
			f.frame, f.frameChunk, f.haveFrame = b, name, true
		}
	case "EXIF":
		f.exif = b
	case "XMP ":
		f.xmp = b
	}
	return nil
}

// webpFrameSize reads the header of a VP8 or VP8L bit stream.
func webpFrameSize(chunk string, b []byte) (w, h int, alpha bool, err error) {
	if chunk == "VP8L" { // signature, 14 bits of width less one, 14 of height less one, alpha
		if len(b) < 5 || b[0] != 0x2f {
			return 0, 0, false, errors.New("VP8L: bad signature")
		}
		v := binary.LittleEndian.Uint32(b[1:])
		return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1, v>>28&1 != 0, nil
	}
	if len(b) < 10 || b[0]&1 != 0 || string(b[3:6]) != "\x9d\x01\x2a" {
		return 0, 0, false, errors.New("VP8: bad signature, or no key frame")
	}
	return int(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff), false, nil
}

// still wraps the frame as a file of its own.
func (f *webpFile) still(w, h int) []byte {
	var body bytes.Buffer
	put := func(name string, data []byte) {
		body.WriteString(name)
		body.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
		body.Write(data)
		if len(data)%2 != 0 {
			body.WriteByte(0)
		}
	}
	body.WriteString("WEBP")
	if f.frameChunk == "VP8 " && f.alphaPlane != nil {
		head := make([]byte, 10)
		head[0] = 0x10
		for i := range 3 {
			head[4+i], head[7+i] = byte((w-1)>>(8*i)), byte((h-1)>>(8*i))
		}
		put("VP8X", head)
		put("ALPH", f.alphaPlane)
	}
	put(f.frameChunk, f.frame)
	out := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(body.Len()))...)
	return append(out, body.Bytes()...)
}

// draw puts the frame on the canvas, which is black and transparent outside it.
func (f *webpFile) draw(p *Picture, img image.Image) error {
	n := p.Mode.bytesPerPixel()
	at := func(x, y int) []byte { return p.Pix[((f.y+y)*p.W+f.x+x)*n:] }
	size := img.Bounds().Size()
	var alpha func(x, y int) byte
	switch m := img.(type) {
	case *image.NRGBA:
		for y := range size.Y {
			dst, src := at(0, y), m.Pix[y*m.Stride:]
			for x := range size.X {
				copy(dst[x*n:x*n+n], src[4*x:])
			}
		}
		return nil
	case *image.YCbCr:
		alpha = func(int, int) byte { return 255 }
		f.lossy(p, m)
	case *image.NYCbCrA:
		alpha = func(x, y int) byte { return m.A[y*m.AStride+x] }
		f.lossy(p, &m.YCbCr)
	default:
		return fmt.Errorf("the decoder returned a %T", img)
	}
	if n == 4 {
		for y := range size.Y {
			dst := at(0, y)
			for x := range size.X {
				dst[4*x+3] = alpha(x, y)
			}
		}
	}
	return nil
}

// lossy converts VP8's planes as libwebp does: chroma interpolated ("fancy upsampling"), BT.601 with a range of 16..235.
func (f *webpFile) lossy(p *Picture, m *image.YCbCr) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	n := p.Mode.bytesPerPixel()
	cb := make([]byte, w)
	cr := make([]byte, w)
	for y := range h {
		// A row of chroma lies between rows 2k and 2k+1 of luma: the near one counts three times as much as the far one.
		near := y / 2
		far := min(max(0, near-1+2*(y%2)), (h+1)/2-1)
		vp8Chroma(cb, m.Cb[near*m.CStride:], m.Cb[far*m.CStride:])
		vp8Chroma(cr, m.Cr[near*m.CStride:], m.Cr[far*m.CStride:])
		dst := p.Pix[((f.y+y)*p.W+f.x)*n:]
		for x, v := range m.Y[y*m.YStride : y*m.YStride+w] {
			l, u, v := int(v)*19077>>8, int(cb[x]), int(cr[x])
			dst[x*n] = vp8Clip(l + v*26149>>8 - 14234)
			dst[x*n+1] = vp8Clip(l - u*6419>>8 - v*13320>>8 + 8708)
			dst[x*n+2] = vp8Clip(l + u*33050>>8 - 17685)
		}
	}
}

// vp8Chroma spreads a row of chroma over out: weights 9, 3, 3, 1 of 16, rounded in two steps.
func vp8Chroma(out, near, far []byte) {
	w := len(out)
	out[0] = byte((3*int(near[0]) + int(far[0]) + 2) >> 2)
	for x := 1; x < w; x++ {
		i, j := x/2, x/2-1+2*(x%2) // nearer and farther column
		if j > (w-1)/2 {           // the last pixel of an even row has none
			out[x] = byte((3*int(near[i]) + int(far[i]) + 2) >> 2)
			continue
		}
		a, b, c, d := int(near[i]), int(near[j]), int(far[i]), int(far[j])
		out[x] = byte(((a+b+c+d+8+2*(b+c))>>3 + a) >> 1)
	}
}

// vp8Clip turns 14-bit fixed point with 6 fraction bits into a byte.
func vp8Clip(v int) byte { return byte(min(max(v>>6, 0), 255)) }
