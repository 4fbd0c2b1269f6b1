//! Two clocks: what the process worked, and what passed. An engine has a process of its own, so the first counts the
//! threads that the engine started, too, and nobody else's.

/// Nanoseconds of work and of time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// CPU time of this process, in the kernel too.
    pub cpu: u64,
    /// Time on the wall.
    pub wall: u64,
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a struct to be filled.
    let answer = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(answer, 0, "clock {clock} is missing");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time of this process so far.
pub fn worked() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Runs `work` and answers what it cost.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let (cpu, wall) = (worked(), read(libc::CLOCK_MONOTONIC));
    let done = work();
    let spent = Spent {
        cpu: worked() - cpu,
        wall: read(libc::CLOCK_MONOTONIC) - wall,
    };
    (done, spent)
}

/// CPU time of this thread so far.
pub fn worked_by_thread() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}
