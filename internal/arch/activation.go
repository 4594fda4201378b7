package arch

import (
	"fmt"
	"strings"

	"github.com/clipgo/clipgo/internal/program"
)

// activations are transformers' names, the first of each being the one that we write.
var activations = []struct {
	name string
	act  program.Activation
}{
	{"gelu", program.ActGELU},
	{"gelu_python", program.ActGELU},
	{"gelu_pytorch_tanh", program.ActGELUTanh},
	{"gelu_new", program.ActGELUTanh},
	{"gelu_fast", program.ActGELUTanh},
	{"gelu_accurate", program.ActGELUTanh},
	{"gelu_python_tanh", program.ActGELUTanh},
	{"quick_gelu", program.ActQuickGELU},
	{"relu", program.ActReLU},
	{"silu", program.ActSiLU},
	{"swish", program.ActSiLU},
	{"sigmoid", program.ActSigmoid},
	{"tanh", program.ActTanh},
	{"none", program.ActNone},
	{"linear", program.ActNone},
}

// ParseActivation returns the activation that transformers calls name.
func ParseActivation(name string) (program.Activation, error) {
	for _, a := range activations {
		if a.name == name {
			return a.act, nil
		}
	}
	var known []string
	for _, a := range activations {
		known = append(known, a.name)
	}
	return 0, fmt.Errorf("%q, expected one of %s", name, strings.Join(known, ", "))
}

func activationName(act program.Activation) string {
	for _, a := range activations {
		if a.act == act {
			return a.name
		}
	}
	return ""
}
