package preprocess

import "math"

// Filter is a resampling filter, under the name that transformers' and Pillow's documentation give it.
type Filter string

const (
	Nearest  Filter = "nearest"
	Box      Filter = "box"
	Bilinear Filter = "bilinear"
	Hamming  Filter = "hamming"
	Bicubic  Filter = "bicubic"
	Lanczos  Filter = "lanczos"
)

// pilFilters are the numbers that preprocessor_config.json uses (PIL.Image.Resampling).
var pilFilters = []Filter{0: Nearest, 1: Lanczos, 2: Bilinear, 3: Bicubic, 4: Box, 5: Hamming}

// support is the filter's radius in pixels of the smaller scale.
func (f Filter) support() float64 {
	switch f {
	case Box:
		return 0.5
	case Bilinear, Hamming:
		return 1
	case Bicubic:
		return 2
	case Lanczos:
		return 3
	}
	return 0
}

// at is the filter's value at a distance of x. Products are converted to float64, so that no compiler fuses them with a sum: the
// last bit decides which fixed-point weight comes out.
func (f Filter) at(x float64) float64 {
	switch f {
	case Box:
		if x > -0.5 && x <= 0.5 {
			return 1
		}
	case Bilinear:
		if x = math.Abs(x); x < 1 {
			return 1 - x
		}
	case Hamming:
		if x = math.Abs(x); x == 0 {
			return 1
		} else if x < 1 {
			x *= math.Pi
			// Pillow writes the constants in single precision.
			return math.Sin(x) / x * (float64(float32(0.54)) + float64(float64(float32(0.46))*math.Cos(x)))
		}
	case Bicubic: // Keys with a = -1/2
		const a = -0.5
		if x = math.Abs(x); x < 1 {
			return float64((float64((a+2)*x)-(a+3))*x*x) + 1
		} else if x < 2 {
			return (float64((float64((x-5)*x)+8)*x) - 4) * a
		}
	case Lanczos:
		if -3 <= x && x < 3 {
			return sinc(x) * sinc(x/3)
		}
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}
