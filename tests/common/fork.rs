//! Children of a test's process: copies of it, not the test program started once more.
#![allow(unsafe_code)]

/// Runs `child` in a child that `fork()` makes.
pub fn in_child(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child does what a child of a process with threads can do with the C library of GNU, and ends.
    let pid = unsafe { libc::fork() };
    run(pid, child)
}

/// Runs `child` in a child that the system call makes, without any of the handlers of `fork()`. No other thread of this
/// process may have a lock that `child` needs.
pub fn in_child_without_handlers(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child has a copy of all memory, runs `child` and ends.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32;
    run(pid, child)
}

/// In the child: runs it and ends. In its parent: how it ended, as its exit status or 1000 more than its signal.
fn run(pid: i32, child: impl FnOnce() -> i32) -> i32 {
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: system calls about this process and about a child that was not waited for yet.
    unsafe {
        if pid == 0 {
            // A child that hangs must not outlive the test.
            libc::alarm(30);
            libc::_exit(child());
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        match libc::WIFEXITED(status) {
            true => libc::WEXITSTATUS(status),
            false => 1000 + libc::WTERMSIG(status),
        }
    }
}
