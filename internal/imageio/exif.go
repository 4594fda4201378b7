package imageio

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"regexp"
)

// EXIF is a TIFF file in miniature; only one tag of it matters here.
const tagOrientation = 0x0112

// exifOrientation finds the orientation in an EXIF block ("Exif\0\0" before it or not), 0 where there is none or the block is
// broken: a bad EXIF never spoils a good picture.
func exifOrientation(b []byte) int {
	for range 2 {
		b = bytes.TrimPrefix(b, []byte("Exif\x00\x00"))
	}
	if len(b) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return 0
	}
	// A directory: the number of entries, then 12 bytes each: tag, type, count, value or its offset.
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < 12 {
			return 0
		}
		e := entries[:12]
		entries = entries[12:]
		if order.Uint16(e) != tagOrientation || order.Uint32(e[4:]) != 1 {
			continue
		}
		switch order.Uint16(e[2:]) {
		case 1: // byte
			return int(e[8])
		case 3: // short
			return int(order.Uint16(e[8:]))
		case 4: // long
			return int(min(order.Uint32(e[8:]), 9))
		}
		return 0
	}
	return 0
}

var xmpPattern = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

// xmpOrientation finds the orientation in an XMP packet, 0 where there is none.
func xmpOrientation(b []byte) int {
	m := xmpPattern.FindSubmatch(b)
	if m == nil {
		return 0
	}
	return int(m[1][0] - '0')
}

// rawProfile decodes ImageMagick's "Raw profile type exif": a blank line, the name and the length, then hex digits.
func rawProfile(text []byte) []byte {
	lines := bytes.SplitN(text, []byte("\n"), 4)
	if len(lines) < 4 {
		return nil
	}
	out, err := hex.DecodeString(string(bytes.ReplaceAll(lines[3], []byte("\n"), nil)))
	if err != nil {
		return nil
	}
	return out
}

// orient records the orientation: EXIF first, XMP only where EXIF has none.
func (d *decoder) orient(exif, xmp []byte) {
	d.orientation = Orientation(exifOrientation(exif))
	if d.orientation == 0 {
		d.orientation = Orientation(xmpOrientation(xmp))
	}
}
