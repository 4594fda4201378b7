#define _DEFAULT_SOURCE /* madvise, MAP_ANONYMOUS */
#define _DARWIN_C_SOURCE
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

static const uint64_t huge_page = 2u << 20;

void *memory_map(uint64_t bytes) {
    if (bytes > SIZE_MAX) return NULL;
    void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
#if defined(MADV_HUGEPAGE)
    /* Advice only: the kernel uses huge pages for the aligned part, and a refusal costs speed and nothing else. */
    if (bytes >= 2 * huge_page) madvise(p, (size_t)bytes, MADV_HUGEPAGE);
#endif
    return p;
}

void memory_unmap(void *p, uint64_t bytes) {
    if (p != NULL) munmap(p, (size_t)bytes);
}

void memory_discard(const void *p, uint64_t bytes) {
    long size = sysconf(_SC_PAGESIZE);
    if (size <= 0) return;
    uintptr_t page = (uintptr_t)size, begin = (uintptr_t)p, end = begin + (uintptr_t)bytes;
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}
