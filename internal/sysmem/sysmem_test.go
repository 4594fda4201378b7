package sysmem

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAvailable(t *testing.T) {
	const meminfo = "MemTotal:  8000000 kB\nMemAvailable:   4000000 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		n     int64
		who   string
	}{
		"nothing told": {nil, 0, ""},
		"swap":         {map[string]string{"proc/meminfo": meminfo + "SwapFree: 1000 kB\n"}, 4_097_024_000, "the system"},
		"no groups":    {map[string]string{"proc/meminfo": meminfo}, 4_096_000_000, "the system"},
		"version 2, of the group above": {map[string]string{
			"proc/meminfo":                      meminfo,
			"proc/self/cgroup":                  "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":      "max\n",
			"sys/fs/cgroup/a/b/memory.current":  "5\n",
			"sys/fs/cgroup/a/memory.max":        "1000000\n",
			"sys/fs/cgroup/a/memory.current":    "900000\n",
			"sys/fs/cgroup/a/memory.stat":       "anon 7\ninactive_file 200000\nactive_file 50000\n",
			"sys/fs/cgroup/other/memory.max":    "1\n",
			"sys/fs/cgroup/cgroup.controllers":  "memory\n",
			"sys/fs/cgroup/a/b/memory.swap.max": "0\n",
		}, 350_000, "the control group"},
		"version 2 in a container": {map[string]string{
			"proc/self/cgroup":             "0::/../outside\n",
			"sys/fs/cgroup/memory.max":     "1000\n",
			"sys/fs/cgroup/memory.current": "600\n",
		}, 400, "the control group"},
		"version 1": {map[string]string{
			"proc/meminfo":     meminfo,
			"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "2000\n",
			"sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes": "1500\n",
			"sys/fs/cgroup/memory/docker/1/memory.stat":           "cache 1\ntotal_inactive_file 100\ntotal_active_file 0\n",
		}, 600, "the control group"},
		"over the limit": {map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.max":     "1000\n",
			"sys/fs/cgroup/memory.current": "1600\n",
		}, 0, "the control group"},
		"nonsense": {map[string]string{
			"proc/meminfo":                 "MemAvailable: many kB\nMemAvailable:\n",
			"proc/self/cgroup":             "0\n::\n0::/\n",
			"sys/fs/cgroup/memory.max":     "-5\n",
			"sys/fs/cgroup/memory.current": "x\n",
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range c.files {
				path := filepath.Join(root, file)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			}
			n, who, ok := available(root)
			require.Equal(t, c.who != "", ok)
			require.Equal(t, c.who, who)
			if ok {
				require.Equal(t, c.n, n)
			}
		})
	}
}

func TestThisSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	n, who, ok := Available()
	require.True(t, ok)
	require.NotEmpty(t, who)
	require.Positive(t, n)

	before := Resident()
	require.Positive(t, before)
	big := make([]byte, 64<<20)
	for i := 0; i < len(big); i += 4096 {
		big[i] = 1
	}
	require.Greater(t, Resident(), before+32<<20)
	runtime.KeepAlive(big)
}
