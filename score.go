package clipgo

import (
	"math"
	"sort"
)

// Prediction is a label and its score.
type Prediction struct {
	Score float64 `json:"score"`
	Label string  `json:"label"`
	Logit float64 `json:"-"` // scale*cosine + bias, which the score was made of
}

// Softmax returns exp(x_i) / sum exp(x_j), as torch computes it: relative to the greatest.
func Softmax(logits []float32) []float64 {
	scores := make([]float64, len(logits))
	if len(logits) == 0 {
		return scores
	}
	top := math.Inf(-1)
	for _, x := range logits {
		top = math.Max(top, float64(x))
	}
	var sum float64
	for i, x := range logits {
		scores[i] = math.Exp(float64(x) - top)
		sum += scores[i]
	}
	for i := range scores {
		scores[i] /= sum
	}
	return scores
}

// Sigmoid returns 1 / (1 + exp(-x_i)).
func Sigmoid(logits []float32) []float64 {
	scores := make([]float64, len(logits))
	for i, x := range logits {
		scores[i] = 1 / (1 + math.Exp(-float64(x)))
	}
	return scores
}

// rank returns the predictions best first, with scores of transformers' precision, float32; labels of equal score keep their
// order.
func rank(labels []string, logits []float32, scores []float64) []Prediction {
	p := make([]Prediction, len(labels))
	for i, label := range labels {
		p[i] = Prediction{Score: float64(float32(scores[i])), Label: label, Logit: float64(logits[i])}
	}
	sort.SliceStable(p, func(a, b int) bool { return p[a].Score > p[b].Score })
	return p
}

// normalize divides x by its length, in place; transformers does it without an epsilon.
func normalize(x []float32) {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	length := float32(math.Sqrt(sum))
	for i := range x {
		x[i] /= length
	}
}

// dot sums in float64, so that its error is that of the vectors.
func dot(a, b []float32) float32 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return float32(sum)
}
