#define _GNU_SOURCE /* sched_getaffinity */
#include "processor.h"

#include "cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)

static int bit(uint32_t word, int n) { return (int)(word >> n & 1u); }

/* XCR0: which registers the system saves at a switch. */
static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int is_intel(void) {
    uint32_t most, name[3];
    return __get_cpuid(0, &most, &name[0], &name[2], &name[1]) && memcmp(name, "GenuineIntel", sizeof name) == 0;
}

/* Linux saves tiles, 8 KiB, only for a process that has asked for them. It is refused where the stack of a signal handler
 * couldn't hold them. */
static int may_use_tiles(void) {
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, the bit of XCR0 */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return 0;
#endif
}

uint32_t cpu_features(void) {
    uint32_t a, b, c, d, a7 = 0, b7 = 0, c7 = 0, d7 = 0, features = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) return 0; /* OSXSAVE */
    uint32_t saved = saved_registers();
    int fma = bit(c, 12), avx = bit(c, 28), f16c = bit(c, 29);
    if (!__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) return 0;
    if ((saved & 0x06) == 0x06 && avx && fma && f16c && bit(b7, 5)) features |= CPU_AVX2; /* XMM, YMM */
    /* macOS turns the mask and ZMM registers on at a thread's first use and doesn't show them before; it is left out.
     */
    if ((saved & 0xe6) == 0xe6 && (features & CPU_AVX2) && bit(b7, 16) && bit(b7, 17) && bit(b7, 30) && bit(b7, 31)) {
        features |= CPU_AVX512;
        if (bit(c7, 11)) features |= CPU_AVX512VNNI;
    }
    /* A Zen 4 or 5 has four units for wide vectors, Intel's cores have two. */
    if ((features & CPU_AVX512) && !is_intel()) features |= CPU_SPARE_UNITS;
    if (a7 >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        if ((features & CPU_AVX2) && bit(a, 4)) features |= CPU_AVXVNNI;
        if ((features & CPU_AVX512) && bit(a, 5)) features |= CPU_AVX512BF16;
        /* Intel's cores since Sapphire Rapids, which AVX512FP16 tells from Cooper Lake: VDPBF16PS starts every other cycle,
         * as such products are meant for AMX, where float32 has two multiplications a cycle. */
        if (bit(d7, 23) && is_intel()) features |= CPU_SLOW_BF16;
        if ((features & CPU_AVX512BF16) && (saved & 0x60000) == 0x60000 && bit(d7, 22) && bit(d7, 24) && bit(d7, 25) &&
            may_use_tiles())
            features |= CPU_AMX;
    }
    return features;
}

void cpu_name(char *text, size_t n) {
    uint32_t words[13] = {0}, top;
    char name[sizeof words];
    text[0] = '\0';
    if (!__get_cpuid(0x80000000u, &top, &words[1], &words[2], &words[3]) || top < 0x80000004u) return;
    for (uint32_t i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    words[12] = 0;
    memcpy(name, words, sizeof words);
    const char *first = name + strspn(name, " ");
    snprintf(text, n, "%s", first);
    for (size_t end = strlen(text); end > 0 && text[end - 1] == ' '; end--) text[end - 1] = '\0';
}

#elif defined(__aarch64__)

#if defined(__APPLE__)
static int sysctl_flag(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}
#endif

uint32_t cpu_features(void) {
    uint32_t features = CPU_NEON;
#if defined(__APPLE__)
    if (sysctl_flag("hw.optional.arm.FEAT_DotProd")) features |= CPU_DOTPROD;
    if (sysctl_flag("hw.optional.arm.FEAT_I8MM") && sysctl_flag("hw.optional.arm.FEAT_BF16")) features |= CPU_I8MM;
#elif defined(__linux__)
    unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    if (one >> 20 & 1) features |= CPU_DOTPROD;                   /* HWCAP_ASIMDDP */
    if ((two >> 13 & 1) && (two >> 14 & 1)) features |= CPU_I8MM; /* HWCAP2_I8MM, HWCAP2_BF16 */
#endif
    return features;
}

void cpu_name(char *text, size_t n) {
#if defined(__APPLE__)
    if (sysctlbyname("machdep.cpu.brand_string", text, &n, NULL, 0) == 0) return;
#endif
    snprintf(text, n, "aarch64");
}

#else

uint32_t cpu_features(void) { return 0; }
void cpu_name(char *text, size_t n) { snprintf(text, n, "unknown"); }

#endif

#if defined(__linux__)

uint32_t cpu_count(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = online > 0 ? (uint32_t)online : 1, limit = cgroup_processors("");
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) n = (uint32_t)CPU_COUNT(&set);
    return limit != 0 && limit < n ? limit : n;
}

#else

uint32_t cpu_count(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

#endif

uint64_t cpu_l2_bytes(void) {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (uint64_t)bytes : 0;
#else
    return 0;
#endif
}
