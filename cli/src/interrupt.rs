//! Ctrl-C during long work: the work ends at its next step and cleans up. Who types it twice does so before that step,
//! and wants nothing to be left behind. So a second one ends the process only if the work goes on for another second.
//!
//! A signal that is noted does not wake a process that waits for a pipe: the system goes on with the call behind the
//! handler. So whoever reads from a pipe, or writes into one, does it through [`Wakeful`], which waits with poll():
//! that call ends with every signal.
//!
//! Ctrl-C goes to a whole pipeline, so what fills a pipe ends at the same moment, and the end of the input says
//! nothing of whether it is whole. Whoever commits what came through a pipe looks for a signal behind that end. That
//! look misses no signal that came before it: handlers run on the first thread, which is the one that works, before
//! the call that found the end returns. Other threads leave the signals alone, because [`beside`] starts them.

use crate::exit::{Failure, Interruption, Outcome};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;

static WAS_INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on, signals that end the process are noted and left to [`was_interrupted`].
pub fn watch() {
    WAS_INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let ignored = ignored();
        let heard = UnixStream::pair().ok();
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored(*signal)) {
            // If the system refuses a handler, the signal does what it always did.
            let _ = signal_hook::flag::register(signal, flag.clone());
            // A terminal that closes may send SIGHUP twice, once itself and once through its shell, and nobody has lost
            // patience then.
            if let Some(to) = heard.as_ref().filter(|_| signal != SIGHUP) {
                let _ = to.0.try_clone().map(|to| pipe::register(signal, to));
            }
        }
        if let Some((_, from)) = heard {
            // Without this thread, the work ends at its next step all the same.
            let _ = beside(|| Builder::new().spawn(|| end_with_the_second(from)));
        }
        flag
    });
}

/// How long the work may go on after the second signal.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends the process some time after two bytes have come, one for each signal.
fn end_with_the_second(mut signals: UnixStream) {
    if signals.read_exact(&mut [0; 2]).is_ok() {
        std::thread::sleep(PATIENCE);
        // The first thread is at work, so nothing that it uses is taken down here.
        signal_hook::low_level::exit(crate::exit::Exit::Interrupted as i32);
    }
}

/// Returns which signals whoever started this process has made it ignore, as nohup does with SIGHUP. They stay ignored.
fn ignored() -> impl Fn(i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    move |signal| mask.unwrap_or(0) >> (signal - 1) & 1 == 1
}

/// Starts something that has a thread of its own, which leaves the signals to this one.
pub fn beside<T>(start: impl FnOnce() -> T) -> T {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    // A thread begins with the mask of the one that starts it. The call fails for no set that there is.
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let started = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    started
}

/// Returns whether signals are noted here, and do not end the process themselves.
pub fn is_watched() -> bool {
    WAS_INTERRUPTED.get().is_some()
}

/// From now on, Ctrl-C is noted and ends the work, and never the process. A shell wants this.
pub fn outlive() {
    WAS_INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        // If the system refuses a handler, Ctrl-C ends the shell as it always did.
        let _ = signal_hook::flag::register(SIGINT, flag.clone());
        flag
    });
}

/// Forgets a Ctrl-C: the work that it ended has ended.
pub fn forget() {
    if let Some(flag) = WAS_INTERRUPTED.get() {
        flag.store(false, SeqCst);
    }
}

/// Returns whether the user wants the work to end.
pub fn was_interrupted() -> bool {
    WAS_INTERRUPTED.get().is_some_and(|flag| flag.load(SeqCst))
}

/// Ends work between two steps if the user wants that.
pub fn check() -> Outcome<()> {
    match was_interrupted() {
        true => Err(Failure::interrupted()),
        false => Ok(()),
    }
}

/// How many bytes a pipe takes at once if poll() says that it takes any.
const PIPE_BUF: usize = 4096;

/// How long poll() waits before the flag is looked at again, in case that the signal came right before the call.
const STEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// A file or a pipe for which the process waits only until it is interrupted. What is read or written then fails with
/// [`Interruption`].
pub struct Wakeful {
    file: File,
    /// Whether a call can take long. Files on disks are always ready.
    may_wait: bool,
}

impl Wakeful {
    /// Returns the file, whatever it is.
    pub fn new(file: File) -> Wakeful {
        let may_wait = file.metadata().map_or(true, |facts| !facts.is_file());
        Wakeful { file, may_wait }
    }

    /// Returns standard input. Nothing of it may have been read in another way.
    pub fn stdin() -> Outcome<Wakeful> {
        let copy = io::stdin().as_fd().try_clone_to_owned();
        let copy = copy.map_err(|e| Failure::input(Path::new("-"), "open", &e))?;
        Ok(Wakeful::new(File::from(copy)))
    }

    /// Returns how long the file is, or 0 if it is no file that has a length.
    pub fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |facts| facts.len())
    }

    /// Returns whether this is a device that is read byte by byte, which need not have an end.
    pub fn is_device(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|facts| facts.file_type().is_char_device())
    }

    /// Waits until the file is ready. Returns whether a call must not be for more than a pipe takes at once.
    fn wait(&self, ready: PollFlags) -> io::Result<bool> {
        if !is_watched() {
            return Ok(false);
        }
        loop {
            if was_interrupted() {
                return Err(io::Error::other(Interruption));
            }
            if !self.may_wait {
                return Ok(false);
            }
            match poll(&mut [PollFd::new(&self.file, ready)], Some(&STEP)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Wakeful {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(PollFlags::IN)?;
        match self.file.read(buffer)? {
            // What fills a pipe was perhaps ended by the same signal.
            0 if was_interrupted() => Err(io::Error::other(Interruption)),
            bytes => Ok(bytes),
        }
    }
}

impl Write for Wakeful {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.wait(PollFlags::OUT)? {
            true => self.file.write(&bytes[..bytes.len().min(PIPE_BUF)]),
            false => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
