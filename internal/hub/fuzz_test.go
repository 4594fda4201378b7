package hub

import (
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"sha": "` + strings.Repeat("ab", 20) + `", "siblings": [{"rfilename": "config.json"}, {"rfilename": "onnx/model.onnx"}]}`))
	f.Add([]byte(`{"sha": "../x", "siblings": [{"rfilename": "../config.json"}]}`))
	f.Add([]byte(`{"siblings": null, "sha": 5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		commit, files, err := parseListing(data)
		if err != nil {
			return
		}
		require.True(t, isCommit(commit))
		for _, name := range files {
			require.True(t, fs.ValidPath(name), "%q", name)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add(`"abc"`, "", "12", "bytes 0-11/12", "3", true)
	f.Add(`W/"abc"`, `"../x"`, "-1", "bytes 5-4/*", "Tue, 24 Nov 2026 12:00:30 GMT", false)
	f.Add("", "", "9223372036854775807", "bytes 0-9223372036854775807/9223372036854775807", "1e9", true)
	f.Fuzz(func(t *testing.T, etag, linked, length, contentRange, after string, whole bool) {
		h := http.Header{"Etag": {etag}, "X-Linked-Etag": {linked}, "Content-Length": {length}, "X-Linked-Size": {length}, "Retry-After": {after}}
		name, size, err := parseDescription(h, whole, maxOther)
		if err == nil {
			require.NotContains(t, name, "/")
			require.NotContains(t, name, `\`)
			require.NotEmpty(t, name)
			require.GreaterOrEqual(t, size, int64(-1))
			require.LessOrEqual(t, size, int64(maxOther))
		}
		if first, size, err := parseContentRange(contentRange); err == nil {
			require.GreaterOrEqual(t, first, int64(0))
			require.True(t, size == -1 || first < size)
		}
		require.GreaterOrEqual(t, retryAfter(h, time.Now()), time.Duration(0))
	})
}
