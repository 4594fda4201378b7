package imageio

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func samples(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/samples/*")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	all := map[string][]byte{}
	for _, path := range paths {
		all[filepath.Base(path)], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	return all
}

// Attack 44: more pixels than the limit, in every format, found before anything is decoded.
func TestAttack44PixelLimit(t *testing.T) {
	for name, data := range samples(t) {
		_, err := Decode(data, Options{MaxPixels: 37*21 - 1})
		require.ErrorIs(t, err, ErrTooLarge, name)
		_, err = Decode(data, Options{MaxPixels: 37 * 21})
		require.NoError(t, err, name)
	}
}

// Attack 44: headers that promise far more than the file holds cost no memory.
func TestAttack44Bombs(t *testing.T) {
	for name, data := range map[string][]byte{
		"PNG": pngOf(pngChunk("IHDR", ihdr(13000, 13000, 8, 6)), pngChunk("IDAT", []byte("x\x9c\x00"))),
		"JPEG": []byte("\xff\xd8\xff\xc0\x00\x11\x08\x32\x00\x32\x00\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00" +
			"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00\x00"),
		"progressive JPEG": []byte("\xff\xd8\xff\xc2\x00\x11\x08\x32\x00\x32\x00\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xd9"),
		"PPM":              []byte("P6 13000 13000 255\n123"),
		"BMP":              bmpOf(13000, 13000, 24),
	} {
		_, err := Decode(data, Options{})
		require.ErrorIs(t, err, errTruncated, name)
		require.Less(t, allocated(func() { _, _ = Decode(data, Options{}) }), uint64(1<<20), name)
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func ihdr(w, h uint32, depth, colour byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, w)
	return append(binary.BigEndian.AppendUint32(b, h), depth, colour, 0, 0, 0)
}

func pngChunk(name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func pngOf(chunks ...[]byte) []byte {
	return append([]byte("\x89PNG\r\n\x1a\n"), bytes.Join(chunks, nil)...)
}

func bmpOf(w, h int32, depth uint16) []byte {
	b := make([]byte, 54)
	copy(b, "BM")
	binary.LittleEndian.PutUint32(b[10:], 54)
	binary.LittleEndian.PutUint32(b[14:], 40)
	binary.LittleEndian.PutUint32(b[18:], uint32(w))
	binary.LittleEndian.PutUint32(b[22:], uint32(h))
	binary.LittleEndian.PutUint16(b[28:], depth)
	return b
}

// Attack 45: a side of zero.
func TestAttack45ZeroDimension(t *testing.T) {
	for name, data := range map[string][]byte{
		"PNG":  pngOf(pngChunk("IHDR", ihdr(0, 5, 8, 2)), pngChunk("IDAT", nil)),
		"JPEG": []byte("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x05\x01\x01\x11\x00"),
		"GIF":  []byte("GIF89a\x00\x00\x05\x00\x00\x00\x00,\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"),
		"BMP":  bmpOf(0, 5, 24),
		"PPM":  []byte("P6 0 5 255\n"),
	} {
		_, err := Decode(data, Options{})
		require.ErrorContains(t, err, "at least one", name)
	}
}

// Attack 46: files cut off anywhere neither crash nor, where pixels are missing, pass for whole.
func TestAttack46Truncated(t *testing.T) {
	for name, data := range samples(t) {
		step := 1 + len(data)/400
		for n := 0; n < len(data); n += step {
			_, err := Decode(data[:n], Options{})
			// What is left must hold less than the pixels; TIFF keeps its directory at the end, and animations have more than a frame.
			if n < len(data)/4 && !strings.HasPrefix(name, "animated") {
				require.Error(t, err, "%s cut to %d of %d bytes", name, n, len(data))
			}
		}
	}
}

// Attack 47: a name says nothing here; content that is no picture is refused by what it is.
func TestAttack47NotAPicture(t *testing.T) {
	for content, word := range map[string]string{
		"":                                   "empty",
		"hello, I am a text":                 `"hello, I"`,
		"\x00\x00\x00\x1cftypheic":           "HEIC",
		"\x00\x00\x00\x1cftypavif":           "AVIF",
		"\x00\x00\x00\x0cjP  \r\n\x87\n....": "JPEG 2000",
		"\xff\x0a....":                       "JPEG XL",
		"<!DOCTYPE html>":                    "HTML",
		"II+\x00....":                        "BigTIFF",
	} {
		_, err := Decode([]byte(content), Options{})
		require.ErrorIs(t, err, ErrFormat)
		require.ErrorContains(t, err, word)
		require.NotContains(t, err.Error(), "\n")
	}
}

// Attack 48: a broken EXIF block is ignored.
func TestAttack48BrokenEXIF(t *testing.T) {
	whole := samples(t)["orientation-6.jpg"]
	at := bytes.Index(whole, []byte("Exif\x00\x00"))
	require.Positive(t, at)
	good, err := Decode(whole, Options{})
	require.NoError(t, err)
	require.Equal(t, 21, good.Upright().W)
	for i := at + 6; i < at+32; i++ {
		for _, v := range []byte{0, 1, 0x7f, 0xff} {
			broken := bytes.Clone(whole)
			broken[i] = v
			_, err := Decode(broken, Options{})
			require.NoError(t, err, "byte %d of EXIF set to %d", i-at, v)
		}
	}
	require.Zero(t, exifOrientation(nil))
	require.Zero(t, exifOrientation([]byte("II*\x00\xff\xff\xff\xff")))
	require.Zero(t, exifOrientation([]byte("MM\x00*\x00\x00\x00\x08\xff\xff")))
}

// Attack 49: a tile of a gigabyte in a file of a hundred bytes costs no memory.
func TestAttack49TileBomb(t *testing.T) {
	order := binary.LittleEndian
	b := []byte("II*\x00\x08\x00\x00\x00")
	entries := [][2]uint32{
		{tagWidth, 13000}, {tagHeight, 13000}, {tagBits, 16}, {tagCompression, 8}, {tagPhotometric, 2}, {tagSamplesPerPixel, 3},
		{tagTileWidth, 13000}, {tagTileHeight, 13000}, {tagTileOffsets, 8}, {tagTileBytes, 90},
	}
	b = order.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = order.AppendUint16(b, uint16(e[0]))
		b = order.AppendUint16(b, 4)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint32(b, e[1])
	}
	_, err := Decode(b, Options{})
	require.ErrorIs(t, err, errTruncated)
	require.Less(t, allocated(func() { _, _ = Decode(b, Options{}) }), uint64(1<<20))
}

// Attack 49: TIFF directories with absurd strips, tiles and sizes.
func TestAttack49TIFFBombs(t *testing.T) {
	data := samples(t)["RGB.tiff"]
	order := binary.LittleEndian
	at := int(order.Uint32(data[4:]))
	for i := range int(order.Uint16(data[at:])) {
		for field, size := range map[int]int{2: 2, 4: 4, 8: 4} {
			for _, v := range []uint32{0, 1, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff} {
				bomb := bytes.Clone(data)
				e := bomb[at+2+12*i+field:]
				if size == 2 {
					order.PutUint16(e, uint16(v))
				} else {
					order.PutUint32(e, v)
				}
				_, _ = Decode(bomb, Options{MaxPixels: 1 << 20}) // returns
			}
		}
	}
}

func TestReaderLimit(t *testing.T) {
	data := samples(t)["RGB.png"]
	_, err := DecodeReader(bytes.NewReader(data), Options{MaxBytes: int64(len(data)) - 1})
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = DecodeReader(bytes.NewReader(data), Options{MaxBytes: int64(len(data))})
	require.NoError(t, err)
}

// A panic inside a decoder is that picture's error.
func TestPanicIsAnError(t *testing.T) {
	old := formats
	defer func() { formats = old }()
	formats = []format{{"test", prefix("x"), func(*decoder) (*Picture, error) { var b []byte; return nil, error(errAt(b[3])) }}}
	_, err := Decode([]byte("x"), Options{})
	require.ErrorContains(t, err, "the decoder failed")
}

type errAt byte

func (errAt) Error() string { return "" }

func TestUprightIsAGroup(t *testing.T) {
	p := newPicture(Grey, 5, 3)
	for i := range p.Pix {
		p.Pix[i] = byte(i)
	}
	inverse := map[Orientation]Orientation{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
	for o, back := range inverse {
		pix, w, h := o.Turn(p.Pix, p.W, p.H, 1)
		pix, w, h = back.Turn(pix, w, h, 1)
		require.Equal(t, p.Pix, pix, "orientation %d", o)
		require.Equal(t, []int{p.W, p.H}, []int{w, h}, "orientation %d", o)
	}
	for _, o := range []Orientation{0, 1, 9} {
		p.Orientation = o
		require.Same(t, p, p.Upright())
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range samples(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data, Options{MaxPixels: 1 << 14})
		if err != nil {
			require.Nil(t, p)
			require.NotContains(t, err.Error(), "the decoder failed")
			return
		}
		require.Positive(t, p.W)
		require.Positive(t, p.H)
		require.Len(t, p.Pix, p.W*p.H*p.Mode.bytesPerPixel())
		require.Len(t, p.ToRGB().Pix, 3*p.W*p.H)
	})
}
