package strictjson

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorsKeepPercentSigns(t *testing.T) {
	p, err := New([]byte(`{"100%d": 1}`), 8, "x.json")
	require.NoError(t, err)
	err = p.Object("object", func(key string) error { return p.Strings(key, map[string]string{}) })
	assert.EqualError(t, err, "x.json: at byte 19: 100%d: found 1, expected {")
}

// FuzzParser walks through JSON of any shape to its end, or to an error.
func FuzzParser(f *testing.F) {
	f.Add([]byte(`{"a": [1, 2], "b": {"c": "d"}, "e": null}`))
	f.Add([]byte(`{"a": 1e999, "a": -0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := New(b, 0, "x.json")
		if err != nil {
			return
		}
		seen := map[string]bool{}
		err = p.Object("object", func(key string) error {
			if seen[key] {
				t.Fatalf("%q came twice", key)
			}
			seen[key] = true
			switch len(seen) % 3 {
			case 0:
				return p.Strings(key, map[string]string{})
			case 1:
				_, err := p.Numbers(key, 4)
				return err
			}
			return p.Skip(key)
		})
		if err == nil {
			_ = p.Finish("object")
		}
		if at := p.At(); at < 0 || at > int64(len(b)) {
			t.Fatalf("at byte %d of %d", at, len(b))
		}
	})
}
