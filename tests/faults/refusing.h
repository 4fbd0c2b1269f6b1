/*
 * The allocator of a program that refuses memory to the library: malloc and the others count requests while `armed`,
 * and refuse number `refuse_at`, or all from it on, and large ones, or one in `one_in`, at random.
 */
#ifndef REFUSING_H
#define REFUSING_H

#include <errno.h>
#include <stddef.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static long refuse_at, requests; /* 0: none is refused */
static size_t refuse_above;      /* requests of more bytes are refused; 0: of any size are granted */
static long one_in, refusals;    /* 0: none is refused at random; those that were */
static unsigned long chance;     /* another number: others are refused */
static int for_ever, armed;

static int is_unlucky(long n)
{
    unsigned long mixed = ((unsigned long)n + chance * 1000003) * 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9u;
    return one_in != 0 && (mixed >> 20) % (unsigned long)one_in == 0;
}

static int refused(size_t size)
{
    long n;
    if (!armed) return 0;
    if (refuse_above != 0 && size > refuse_above) {
        errno = ENOMEM;
        return 1;
    }
    n = __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
    if (is_unlucky(n)) {
        __atomic_add_fetch(&refusals, 1, __ATOMIC_RELAXED);
        errno = ENOMEM;
        return 1;
    }
    if (refuse_at == 0 || n < refuse_at || (n > refuse_at && !for_ever)) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return refused(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refused(n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return refused(size) ? NULL : __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    return refused(size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **at, size_t alignment, size_t size)
{
    void *found = memalign(alignment, size);
    if (found == NULL) return ENOMEM;
    *at = found;
    return 0;
}

#endif
