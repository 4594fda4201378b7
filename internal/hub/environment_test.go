package hub

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clearEnvironment leaves a home without any setting.
func clearEnvironment(t *testing.T) (home string) {
	home = t.TempDir()
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
		"HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_SYMLINKS",
		"HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_DISABLE_PROGRESS_BARS"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	return home
}

func TestEnvironment(t *testing.T) {
	home := clearEnvironment(t)
	get := func() *Client {
		c, err := FromEnvironment()
		require.NoError(t, err)
		return c
	}
	join := filepath.Join
	require.Equal(t, &Client{Endpoint: "https://huggingface.co", Cache: join(home, ".cache", "huggingface", "hub")}, get())
	t.Setenv("XDG_CACHE_HOME", join(home, "xdg"))
	require.Equal(t, join(home, "xdg", "huggingface", "hub"), get().Cache)
	t.Setenv("HF_HOME", join("~", "hf"))
	require.Equal(t, join(home, "hf", "hub"), get().Cache)
	t.Setenv("HUGGINGFACE_HUB_CACHE", join("$HOME", "old", "$NOT_SET_ANYWHERE"))
	require.Equal(t, join(home, "old", "$NOT_SET_ANYWHERE"), get().Cache)
	t.Setenv("HF_HUB_CACHE", join(home, "new"))
	require.Equal(t, join(home, "new"), get().Cache)

	t.Setenv("HF_ENDPOINT", "https://mirror.example.org/hub//")
	require.Equal(t, "https://mirror.example.org/hub", get().Endpoint)
	for value, want := range map[string]bool{"1": true, "on": true, "Yes": true, "TRUE": true, "0": false, "no": false, "2": false} {
		t.Setenv("HF_HUB_OFFLINE", value)
		t.Setenv("HF_HUB_DISABLE_SYMLINKS", value)
		t.Setenv("HF_HUB_DISABLE_PROGRESS_BARS", value)
		require.Equal(t, []bool{want, want, want}, []bool{get().Offline, get().NoLinks, NoProgressBars()}, value)
	}
	t.Setenv("TRANSFORMERS_OFFLINE", "1")
	require.True(t, get().Offline)
	t.Setenv("HF_HUB_DOWNLOAD_TIMEOUT", "90")
	require.Equal(t, 90*time.Second, get().Timeout)
	t.Setenv("HF_HUB_DOWNLOAD_TIMEOUT", "soon")
	_, err := FromEnvironment()
	require.EqualError(t, err, `$HF_HUB_DOWNLOAD_TIMEOUT is "soon", expected a number of seconds`)
}

func TestTokenSources(t *testing.T) {
	home := clearEnvironment(t)
	token := func() string {
		c, err := FromEnvironment()
		require.NoError(t, err)
		return c.Token
	}
	require.Empty(t, token())
	dir := filepath.Join(home, ".cache", "huggingface")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("hf_file\n"), 0o600))
	require.Equal(t, "hf_file", token())
	require.NoError(t, os.WriteFile(filepath.Join(home, "other"), []byte(" hf_other"), 0o600))
	t.Setenv("HF_TOKEN_PATH", "~/other")
	require.Equal(t, "hf_other", token())
	t.Setenv("HUGGING_FACE_HUB_TOKEN", "hf_old")
	require.Equal(t, "hf_old", token())
	t.Setenv("HF_TOKEN", "hf_new\n")
	require.Equal(t, "hf_new", token())
	t.Setenv("HF_TOKEN", "hf_a\r\nX-Evil: 1")
	_, err := FromEnvironment()
	require.EqualError(t, err, "the Hub's token in $HF_TOKEN has a character that no token has (U+000D); set it again")
	t.Setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
	require.Empty(t, token())
}
