package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
)

func (d *decoder) jpeg() (*Picture, error) {
	if err := d.jpegHeader(); err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(d.data))
	if err != nil {
		return nil, noEOF(err)
	}
	switch m := img.(type) {
	case *image.YCbCr:
		return ycc(m), nil
	case *image.CMYK:
		p := newPicture(CMYK32, m.Rect.Dx(), m.Rect.Dy())
		for y := range p.H {
			copy(p.Pix[y*p.W*4:(y+1)*p.W*4], m.Pix[y*m.Stride:])
		}
		return p, nil
	case *image.RGBA: // stored as RGB
		p := newPicture(RGB24, m.Rect.Dx(), m.Rect.Dy())
		for y := range p.H {
			for x := range p.W {
				copy(p.Pix[(y*p.W+x)*3:][:3], m.Pix[y*m.Stride+4*x:])
			}
		}
		return p, nil
	}
	return fromStandard(img, 8)
}

// jpegHeader walks the segments up to the first scan: size and orientation.
func (d *decoder) jpegHeader() error {
	b := d.data[2:]
	var exif, xmp []byte
	for {
		for len(b) > 0 && b[0] != 0xff {
			b = b[1:] // stray bytes between segments
		}
		for len(b) > 0 && b[0] == 0xff {
			b = b[1:]
		}
		if len(b) < 3 {
			return errTruncated
		}
		marker := b[0]
		size := int(binary.BigEndian.Uint16(b[1:]))
		if size < 2 || size > len(b)-1 {
			return errTruncated
		}
		data := b[3 : 1+size]
		b = b[1+size:]
		switch {
		case marker == 0xe1 && bytes.HasPrefix(data, []byte("Exif\x00\x00")) && exif == nil:
			exif = data
		case marker == 0xe1 && bytes.HasPrefix(data, []byte("http://ns.adobe.com/xap/1.0/\x00")):
			xmp = data
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc: // start of frame
			if len(data) < 6 {
				return errTruncated
			}
			w, h := int(binary.BigEndian.Uint16(data[3:])), int(binary.BigEndian.Uint16(data[1:]))
			if data[0] != 8 {
				return fmt.Errorf("%d bits per sample: 8 expected", data[0])
			}
			if err := d.checkSize(w, h); err != nil {
				return err
			}
		case marker == 0xda: // start of scan
			d.orient(exif, xmp)
			return nil
		case marker == 0xd9:
			return errors.New("no picture in it")
		}
	}
}

// ycc converts as libjpeg does: chroma interpolated ("fancy upsampling"), 16-bit fixed-point colours.
func ycc(m *image.YCbCr) *Picture {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	p := newPicture(RGB24, w, h)
	cb, cr := m.Cb, m.Cr
	stride := m.CStride
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
	default:
		hs, vs := 1, 1
		switch m.SubsampleRatio {
		case image.YCbCrSubsampleRatio422:
			hs = 2
		case image.YCbCrSubsampleRatio420:
			hs, vs = 2, 2
		case image.YCbCrSubsampleRatio440:
			vs = 2
		case image.YCbCrSubsampleRatio411:
			hs = 4
		case image.YCbCrSubsampleRatio410:
			hs, vs = 4, 2
		}
		cb = upsample(m.Cb, m.CStride, (w+hs-1)/hs, (h+vs-1)/vs, hs, vs, w, h)
		cr = upsample(m.Cr, m.CStride, (w+hs-1)/hs, (h+vs-1)/vs, hs, vs, w, h)
		stride = w
	}
	for y := range h {
		yccRow(p.Pix[y*w*3:(y+1)*w*3], m.Y[y*m.YStride:], cb[y*stride:], cr[y*stride:])
	}
	return p
}

// The products of libjpeg's colour conversion, 16 fraction bits.
const (
	fixCrR = 91881  // 1.40200
	fixCbG = 22554  // 0.34414
	fixCrG = 46802  // 0.71414
	fixCbB = 116130 // 1.77200
	half16 = 1 << 15
)

// yccRow converts a row of len(dst)/3 pixels.
func yccRow(dst, ys, cbs, crs []byte) {
	n := len(dst) / 3
	ys, cbs, crs = ys[:n], cbs[:n], crs[:n]
	for i := range n {
		y, cb, cr := int32(ys[i]), int32(cbs[i])-128, int32(crs[i])-128
		r := y + (fixCrR*cr+half16)>>16
		g := y + (-fixCbG*cb-fixCrG*cr+half16)>>16
		b := y + (fixCbB*cb+half16)>>16
		o := dst[3*i : 3*i+3 : 3*i+3]
		o[0], o[1], o[2] = clip8(r), clip8(g), clip8(b)
	}
}

func clip8(v int32) byte {
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}

// upsample enlarges a plane of sw x sh samples hs times in width and vs times in height, to w x h.
// 2x1, 1x2 and 2x2 interpolate linearly, with libjpeg's rounding; other ratios repeat samples, and so does 2x1 of a plane
// that is too narrow.
func upsample(src []byte, stride, sw, sh, hs, vs, w, h int) []byte {
	out := make([]byte, w*h)
	fancy := sw > 2
	near := make([]int, sw)
	for y := range h {
		dst := out[y*w : (y+1)*w]
		row := src[y/vs*stride:][:sw]
		switch {
		case hs == 2 && vs == 1 && fancy:
			upsampleH2V1(dst, row)
		case vs == 2 && hs <= 2 && (fancy || hs == 1):
			far := src[min(max(0, y/2-1+2*(y%2)), sh-1)*stride:][:sw]
			for i, v := range row {
				near[i] = 3*int(v) + int(far[i])
			}
			if hs == 1 {
				// The bias alternates, so that no level is favoured.
				for x := range dst {
					dst[x] = byte((near[x] + 1 + y%2) >> 2)
				}
			} else {
				upsampleH2V2(dst, near)
			}
		default:
			for x := range dst {
				dst[x] = row[x/hs]
			}
		}
	}
	return out
}

// upsampleH2V1 doubles a row: weights 3 and 1 of 4. The bias alternates, so that no level is favoured.
func upsampleH2V1(dst, src []byte) {
	last := len(src) - 1
	for x := range dst {
		i := x / 2
		j := i - 1 + 2*(x%2)
		if j < 0 || j > last {
			dst[x] = src[i]
		} else {
			dst[x] = byte((3*int(src[i]) + int(src[j]) + 1 + x%2) >> 2)
		}
	}
}

// upsampleH2V2 doubles a row of column sums (weights 3 and 1 of 4 already): weights 3 and 1 again, of 16.
func upsampleH2V2(dst []byte, sums []int) {
	last := len(sums) - 1
	for x := range dst {
		i := x / 2
		j := i - 1 + 2*(x%2)
		if j < 0 || j > last {
			j = i // (4*v + 8) / 16, and + 7 on the right
		}
		dst[x] = byte((3*sums[i] + sums[j] + 8 - x%2) >> 4)
	}
}
