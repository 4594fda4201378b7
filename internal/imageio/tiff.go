package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/tiff"
)

// Tags of a TIFF directory that the decoder's result has to be read by.
const (
	tagBitsPerSample = 258
	tagXMP           = 700
)

func (d *decoder) tiff() (*Picture, error) {
	c, err := tiff.DecodeConfig(bytes.NewReader(d.data))
	if err != nil {
		return nil, err
	}
	if err := d.checkSize(c.Width, c.Height); err != nil {
		return nil, err
	}
	tags, err := tiffTags(d.data)
	if err != nil {
		return nil, err
	}
	d.orient(d.data, tags[tagXMP])
	img, err := tiff.Decode(bytes.NewReader(d.data))
	if err != nil {
		return nil, noEOF(err)
	}
	bits := 1 // the default
	if b := tags[tagBitsPerSample]; len(b) >= 2 {
		bits = int(tiffOrder(d.data).Uint16(b))
	}
	return fromStandard(img, bits)
}

func tiffOrder(b []byte) binary.ByteOrder {
	if b[0] == 'M' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// tiffTags returns the bytes of each tag of the first directory.
func tiffTags(b []byte) (map[uint16][]byte, error) {
	if len(b) < 8 {
		return nil, errTruncated
	}
	order := tiffOrder(b)
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return nil, errTruncated
	}
	n := uint64(order.Uint16(b[at:]))
	if at+2+12*n > uint64(len(b)) {
		return nil, errTruncated
	}
	sizes := [...]uint64{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8}
	tags := map[uint16][]byte{}
	for i := range n {
		e := b[at+2+12*i:]
		kind := order.Uint16(e[2:])
		if int(kind) >= len(sizes) {
			continue
		}
		size, where := sizes[kind]*uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:]))
		switch {
		case size <= 4:
			tags[order.Uint16(e)] = e[8 : 8+size]
		case where+size <= uint64(len(b)):
			tags[order.Uint16(e)] = b[where : where+size]
		}
	}
	return tags, nil
}

// fromStandard takes over what Go's TIFF decoder returns; bits is the file's bits per sample.
func fromStandard(img image.Image, bits int) (*Picture, error) {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	// rows copies n bytes of each of the w pixels through f.
	rows := func(mode Mode, pix []byte, stride, n int, f func(dst, src []byte)) *Picture {
		p := newPicture(mode, w, h)
		m := mode.bytesPerPixel()
		for y := range h {
			for x := range w {
				f(p.Pix[(y*w+x)*m:(y*w+x+1)*m], pix[y*stride+x*n:y*stride+(x+1)*n])
			}
		}
		return p
	}
	same := func(dst, src []byte) { copy(dst, src) }
	high := func(dst, src []byte) { // of 16 bits
		for i := range dst {
			dst[i] = src[2*i]
		}
	}
	// Pillow's way back from premultiplied colours.
	divide := func(dst, src []byte) {
		copy(dst, src)
		if a := int(src[3]); a != 0 && a != 255 {
			for c := range 3 {
				dst[c] = byte(min(255, 255*int(src[c])/a))
			}
		}
	}
	switch m := img.(type) {
	case *image.Gray:
		mode := Grey
		if bits == 1 {
			mode = Bilevel
		}
		return rows(mode, m.Pix, m.Stride, 1, same), nil
	case *image.Gray16:
		return rows(Grey16, m.Pix, m.Stride, 2, func(dst, src []byte) { dst[0], dst[1] = src[1], src[0] }), nil
	case *image.Paletted:
		p := rows(Palette, m.Pix, m.Stride, 1, same)
		for _, c := range m.Palette {
			r, g, b, _ := c.RGBA()
			p.Palette = append(p.Palette, [3]byte{byte(r >> 8), byte(g >> 8), byte(b >> 8)})
		}
		return p, nil
	case *image.RGBA:
		if m.Opaque() {
			return rows(RGB24, m.Pix, m.Stride, 4, same), nil
		}
		return rows(RGBA32, m.Pix, m.Stride, 4, divide), nil
	case *image.NRGBA:
		return rows(RGBA32, m.Pix, m.Stride, 4, same), nil
	case *image.RGBA64:
		if m.Opaque() {
			return rows(RGB24, m.Pix, m.Stride, 8, high), nil
		}
		return rows(RGBA32, m.Pix, m.Stride, 8, func(dst, src []byte) {
			var b [4]byte
			high(b[:], src)
			divide(dst, b[:])
		}), nil
	case *image.NRGBA64:
		return rows(RGBA32, m.Pix, m.Stride, 8, high), nil
	case nil:
		return nil, errors.New("no picture in it")
	}
	return nil, fmt.Errorf("the decoder returned a %T", img)
}
