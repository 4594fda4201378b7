/* CPU quotas of control groups, versions 1 and 2, from files of a folder that stands for the system's root. */
#define _XOPEN_SOURCE 700 /* nftw, mkdtemp */
#include "cgroup.h"
#include "test.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/clipgo-cgroup-XXXXXX";

/* Writes a file, and the folders above it. */
static void write_file(const char *name, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + sizeof root; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0700);
    }
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "can't write %s", path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)kind;
    return at->level > 0 ? remove(path) : 0;
}

/* Checks what the files written so far mean, and removes them. */
static void expect(const char *what, uint32_t want) {
    uint32_t got = cgroup_processors(root);
    CHECK(got == want, "%s: %u processors, expected %u", what, got, want);
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void) {
    CHECK(mkdtemp(root) != NULL, "no folder %s", root);
    expect("no files", 0);

    write_file("/proc/self/cgroup", "0::/\n");
    write_file("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    expect("one and a half, rounded up", 2);

    write_file("/proc/self/cgroup", "0::/user.slice/app\n");
    write_file("/sys/fs/cgroup/user.slice/app/cpu.max", "max 100000\n");
    expect("no limit", 0);

    write_file("/proc/self/cgroup", "0::/user.slice/app\n");
    write_file("/sys/fs/cgroup/user.slice/app/cpu.max", "800000 100000\n");
    write_file("/sys/fs/cgroup/user.slice/cpu.max", "300000 100000\n");
    write_file("/sys/fs/cgroup/cpu.max", "max 100000\n");
    expect("the group above is tighter", 3);

    write_file("/proc/self/cgroup", "0::/docker/0123456789\n");
    write_file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    expect("a path that only the host has", 1);

    write_file("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    expect("no /proc", 4);

    write_file("/proc/self/cgroup", "12:cpuset:/a\n5:cpuacct,cpu:/docker/abc\n4:cpuacct:/b\n0::/\n");
    write_file("/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "250000\n");
    write_file("/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    expect("version 1", 3);

    write_file("/proc/self/cgroup", "5:cpu,cpuacct:/host/path\n");
    write_file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    write_file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    expect("version 1 in a container, mounted under both names", 2);

    write_file("/proc/self/cgroup", "5:cpu:/a\n0::/b\n");
    write_file("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "700000\n");
    write_file("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    write_file("/sys/fs/cgroup/b/cpu.max", "600000 100000\n");
    expect("both versions", 6);

    static const char *const nonsense[] = {"",         "\n",        "max", "100000", "100000 0",
                                           "0 100000", "-5 100000", "x y", "1 -1",   "9223372036854775807 1"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        write_file("/proc/self/cgroup", "0::/\nnonsense\n0\n:\n");
        write_file("/sys/fs/cgroup/cpu.max", nonsense[i]);
        expect(nonsense[i], 0);
    }

    char *text = malloc(20000);
    memset(text, 'a', 20000);
    memcpy(text, "0::/", 4);
    text[19999] = '\0';
    write_file("/proc/self/cgroup", text);
    write_file("/sys/fs/cgroup/cpu.max", "500000 100000\n");
    expect("a path longer than any", 5);
    free(text);

    CHECK(rmdir(root) == 0, "%s is left", root);
    return test_result();
}
