/* cgroup.h: the share of the processors that a container leaves to this process (Linux). */
#ifndef CLIPGO_CGROUP_H
#define CLIPGO_CGROUP_H

#include <stdint.h>

/* The tightest CPU quota of this process's control group and those around it, of version 1 or 2, as a number of
 * processors rounded up; 0: none. root comes before /proc and /sys: "", or a folder of files to test with. */
uint32_t cgroup_processors(const char *root);

#endif
