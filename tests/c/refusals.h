/*
 * System calls that fail when a test wants them to: the program's own definitions stand before those of the C library,
 * for libkv.so as for libkv.a. A test sets `refuse` before a call and clears it behind it.
 */
#ifndef REFUSALS_H
#define REFUSALS_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The errno with which each kind of call fails; 0: it works. */
static struct {
    int writes, syncs, lengths, locks, opens, opens_to_write, facts, rooms, reads;
    /* How many writes still work before they fail. */
    int later;
} refuse;

/* Writes of this thread wait until the test lets them go on, or half a second; `waits` says that one does. */
static struct {
    volatile int on, waits;
    pthread_t thread;
} hold;

static long answer(long result, int error)
{
    if (error == 0) return result;
    errno = error;
    return -1;
}

static int write_refused(void)
{
    if (hold.on && pthread_equal(hold.thread, pthread_self())) {
        int i;
        hold.waits = 1;
        for (i = 0; i < 5000 && hold.on; i++)
            usleep(100);
        hold.on = 0;
    }
    if (refuse.writes == 0) return 0;
    if (refuse.later > 0) {
        refuse.later--;
        return 0;
    }
    return refuse.writes;
}

/* By their names for the linker: the C library may have macros or inline functions of these names. */
#define SHIM(type, name, parameters) \
    type shim_##name parameters __asm__(#name); \
    type shim_##name parameters

/* Functions with offsets have two names, of which the libraries use one or the other. With 32 bits they use the name
 * whose offsets have 64; the other's are of another type, and are left alone. */
#if UINTPTR_MAX > UINT32_MAX
#define BOTH(type, name, parameters, body) \
    SHIM(type, name, parameters) body      \
    SHIM(type, name##64, parameters) body
#else
#define BOTH(type, name, parameters, body) SHIM(type, name##64, parameters) body
#endif

/* What these call has a name that nobody else uses, and passes offsets as each machine wants them. */
BOTH(ssize_t, pwritev, (int fd, const struct iovec *parts, int n, off64_t at), {
    int error = write_refused();
    return error ? answer(0, error) : pwritev64v2(fd, parts, n, at, 0);
})

/* Writes, whatever is refused. */
static inline ssize_t write_anyway(int fd, const void *data, size_t len, off64_t at)
{
    struct iovec part;
    part.iov_base = (void *)(uintptr_t)data;
    part.iov_len = len;
    return pwritev64v2(fd, &part, 1, at, 0);
}

BOTH(ssize_t, pwrite, (int fd, const void *data, size_t len, off64_t at), {
    int error = write_refused();
    return error ? answer(0, error) : write_anyway(fd, data, len, at);
})

SHIM(ssize_t, write, (int fd, const void *data, size_t len))
{
    int error = write_refused();
    return error ? answer(0, error) : syscall(SYS_write, fd, data, len);
}

/* Nothing is made durable: no power is cut here, and syncs would take most of the time. */
SHIM(int, fdatasync, (int fd)) { return (void)fd, (int)answer(0, refuse.syncs); }
SHIM(int, fsync, (int fd)) { return (void)fd, (int)answer(0, refuse.syncs); }

BOTH(ssize_t, pread, (int fd, void *data, size_t len, off64_t at), {
    struct iovec part;
    part.iov_base = data;
    part.iov_len = len;
    return refuse.reads ? answer(0, refuse.reads) : preadv64v2(fd, &part, 1, at, 0);
})

BOTH(int, ftruncate, (int fd, off64_t len), {
    static int (*next)(int, off64_t);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "ftruncate64");
    return refuse.lengths ? (int)answer(0, refuse.lengths) : next(fd, len);
})

BOTH(int, posix_fallocate, (int fd, off64_t at, off64_t len), {
    if (refuse.rooms) return refuse.rooms;
    return fallocate64(fd, 0, at, len) == 0 ? 0 : errno;
})

static int is_lock(long command)
{
    return command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
}

SHIM(int, fcntl, (int fd, int command, ...))
{
    va_list rest;
    void *argument;
    va_start(rest, command);
    argument = va_arg(rest, void *);
    va_end(rest);
    if (refuse.locks && is_lock(command)) return (int)answer(0, refuse.locks);
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

/* Locks whose offsets have 64 bits are asked for by number where there are 32. */
#ifdef SYS_fcntl64
SHIM(long, syscall, (long number, long a, long b, long c, long d, long e, long f))
{
    static long (*next)(long, ...);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    if (refuse.locks && number == SYS_fcntl64 && is_lock(b)) return answer(0, refuse.locks);
    return next(number, a, b, c, d, e, f);
}
#endif

BOTH(int, open, (const char *path, int flags, ...), {
    va_list rest;
    mode_t mode;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
    if (refuse.opens_to_write && (flags & O_ACCMODE) != O_RDONLY) return (int)answer(0, refuse.opens_to_write);
    return (int)(refuse.opens ? answer(0, refuse.opens) : syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode));
})

SHIM(int, statx, (int fd, const char *path, int flags, unsigned mask, void *facts))
{
    return (int)(refuse.facts ? answer(0, refuse.facts) : syscall(SYS_statx, fd, path, flags, mask, facts));
}

#endif
