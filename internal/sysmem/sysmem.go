// Package sysmem asks the system about memory: what this process has, and what it could still get.
package sysmem

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Resident returns the number of bytes of this process that are in memory, pages of files included; 0 where the system doesn't
// tell.
func Resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	words := bytes.Fields(statm)
	if len(words) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(words[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Available returns how many bytes this process could still take before somebody is killed for it, and who sets that
// bound: "the system" or "the control group". ok is false where the system doesn't tell.
func Available() (n int64, who string, ok bool) { return available("/") }

// available reads the files of proc(5) and cgroups(7) below root.
func available(root string) (n int64, who string, ok bool) {
	n = math.MaxInt64
	meminfo := filepath.Join(root, "proc/meminfo")
	swap, _ := field(meminfo, "SwapFree:")
	if kb, found := field(meminfo, "MemAvailable:"); found {
		n, who = (kb+swap)*1024, "the system"
	}
	for _, g := range groups(root) {
		// How much of the swap is the group's is another matter: who may get more is not refused.
		if left, found := g.left(); found && left+swap*1024 < n {
			n, who = left+swap*1024, "the control group"
		}
	}
	return max(0, n), who, who != ""
}

// group is a control group's folder, and the names that its version has for things.
type group struct{ dir, limit, usage, inactive, active string }

// groups returns the groups of this process that may bound memory, in both versions, with all above them. In a container
// the path that the process sees may not exist: then the folder where groups are mounted is its own.
func groups(root string) (all []group) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(string(text), "\n") { // id:controllers:path
		parts := strings.SplitN(line, ":", 3)
		if len(parts) < 3 {
			continue
		}
		g := group{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file", "active_file"}
		switch {
		case parts[1] == "memory":
			g = group{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"}
		case parts[1] != "":
			continue
		}
		mounted := filepath.Join(root, g.dir)
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			g.dir = filepath.Join(mounted, at)
			all = append(all, g)
			if at == "/" {
				break
			}
		}
	}
	return all
}

// left is what the group could still take. Pages of files that it has read make way for others.
func (g group) left() (n int64, found bool) {
	limit, found := number(filepath.Join(g.dir, g.limit))
	if !found {
		return 0, false // none, or "max"
	}
	usage, found := number(filepath.Join(g.dir, g.usage))
	if !found {
		return 0, false
	}
	stat := filepath.Join(g.dir, "memory.stat")
	inactive, _ := field(stat, g.inactive)
	active, _ := field(stat, g.active)
	return limit - max(0, usage-inactive-active), true
}

// number reads a file that holds one.
func number(path string) (n int64, found bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n >= 0
}

// field reads the number that follows a name at the beginning of a line.
func field(path, name string) (n int64, found bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) >= 2 && words[0] == name {
			n, err = strconv.ParseInt(words[1], 10, 64)
			return n, err == nil && n >= 0 && n < math.MaxInt64/1024
		}
	}
	return 0, false
}
