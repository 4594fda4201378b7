package bindings

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"
)

// EnvTurboJPEG is the environment variable that names libjpeg-turbo's file, or says "off".
const EnvTurboJPEG = "CLIPGO_LIBJPEG"

// TurboJPEG is libjpeg-turbo, where the system has it. It decodes a picture two to three times as fast as Go does.
//
// Of its two interfaces this is the one without structs (turbojpeg.h), in the version that all releases since 2010 export.
type TurboJPEG struct {
	path string

	initDecompress    func() uintptr
	destroy           func(handle uintptr) int32
	decompressHeader3 func(handle uintptr, data unsafe.Pointer, size uint64, w, h, subsampling, colours *int32) int32
	decompress2       func(handle uintptr, data unsafe.Pointer, size uint64, dst unsafe.Pointer, w, pitch, h, format, flags int32) int32
}

// FindTurboJPEG loads libjpeg-turbo once. Errors say why there is none to use.
func FindTurboJPEG() (*TurboJPEG, error) { return findTurboJPEG() }

var findTurboJPEG = sync.OnceValues(func() (*TurboJPEG, error) {
	switch env := os.Getenv(EnvTurboJPEG); env {
	case "":
	case "off":
		return nil, errors.New("$" + EnvTurboJPEG + " is off")
	default:
		path, err := existing(env)
		if err != nil {
			return nil, fmt.Errorf("$%s %s: %w", EnvTurboJPEG, env, err)
		}
		return openTurboJPEG(path)
	}
	names := []string{"libturbojpeg.so.0"}
	if runtime.GOOS == "darwin" {
		const keg = "/opt/jpeg-turbo/lib/libturbojpeg.dylib" // Homebrew's prefix depends on the processor
		names = []string{"/opt/homebrew" + keg, "/usr/local" + keg, "libturbojpeg.dylib"}
	}
	var errs []error
	for _, name := range names {
		t, err := openTurboJPEG(name)
		if err == nil {
			return t, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
})

func openTurboJPEG(path string) (*TurboJPEG, error) {
	t := &TurboJPEG{path: path}
	symbols := []symbol{
		{"tjInitDecompress", &t.initDecompress},
		{"tjDestroy", &t.destroy},
		{"tjDecompressHeader3", &t.decompressHeader3},
		{"tjDecompress2", &t.decompress2},
	}
	addresses, unload, err := openLibrary(path, symbols)
	if err != nil {
		return nil, err
	}
	for i, a := range addresses {
		if a == 0 {
			unload()
			return nil, fmt.Errorf("%s lacks %s: it is not libjpeg-turbo's", path, symbols[i].name)
		}
	}
	for i, s := range symbols {
		registerFunc(s.fn, addresses[i])
	}
	return t, nil
}

// Path returns the library's file, or the name by which the system's loader finds it.
func (t *TurboJPEG) Path() string { return t.path }

// ErrTurboJPEG is returned, wrapped, for a file that libjpeg-turbo does not decode without complaint.
var ErrTurboJPEG = errors.New("libjpeg-turbo refuses it")

// Decode decodes the JPEG in data, which its header says to be of w x h pixels, into dst: [h, w, 3] red, green, blue, or
// [h, w, 1] of a grey one. The inverse DCT is the accurate one and chroma is interpolated, as in Pillow. Warnings are errors
// too. Nothing is written but to dst. Several goroutines may call it.
func (t *TurboJPEG) Decode(dst, data []byte, w, h, channels int) error {
	const (
		formatRGB, formatGrey     = 0, 6             // TJPF_RGB, TJPF_GRAY
		coloursGrey               = 2                // TJCS_GRAY
		accurateDCT, limitedScans = 1 << 12, 1 << 15 // TJFLAG_ACCURATEDCT, TJFLAG_LIMITSCANS
	)
	if w < 1 || h < 1 || w > 1<<16 || h > 1<<16 || channels != 1 && channels != 3 || len(dst) != w*h*channels || len(data) == 0 {
		return fmt.Errorf("decode a JPEG of %d bytes: %d bytes for %d x %d pixels of %d", len(data), len(dst), w, h, channels)
	}
	handle := t.initDecompress()
	if handle == 0 {
		return errors.New("libjpeg-turbo has no memory for a decoder")
	}
	defer t.destroy(handle)
	in, size := unsafe.Pointer(unsafe.SliceData(data)), uint64(len(data))
	var headerW, headerH, subsampling, colours int32
	if t.decompressHeader3(handle, in, size, &headerW, &headerH, &subsampling, &colours) != 0 {
		return fmt.Errorf("its header: %w", ErrTurboJPEG)
	}
	format := int32(formatRGB)
	if channels == 1 {
		format = formatGrey
	}
	if int(headerW) != w || int(headerH) != h || (colours == coloursGrey) != (channels == 1) {
		return fmt.Errorf("it takes it for %d x %d pixels of colour space %d: %w", headerW, headerH, colours, ErrTurboJPEG)
	}
	if t.decompress2(handle, in, size, unsafe.Pointer(unsafe.SliceData(dst)), int32(w), int32(w*channels), int32(h), format,
		accurateDCT|limitedScans) != 0 {
		return ErrTurboJPEG
	}
	return nil
}
