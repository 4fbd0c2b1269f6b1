//! An engine in a process of its own, forked when the data are made, so that all share them. Its CPU time, memory and
//! bytes written are nobody else's, and one that dies does not take the others with it.

use crate::clock::Spent;
use crate::data::Data;
use crate::driver::Store;
use crate::machine::Limit;
use crate::outcome::Outcome;
use crate::rows::Work;
use crate::work::{Contender, Runner};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};

/// What a worker does with the data in a directory: answers when the pipe ends.
type Serve = fn(&Path, &Data, Option<Limit>, BufReader<File>, File);

/// An engine that takes part.
pub struct Engine {
    pub name: &'static str,
    pub settings: &'static str,
    lacks: &'static [Work],
    serve: Serve,
}

/// The entry of an engine in the list of all.
pub fn engine<S: Store>() -> Engine {
    Engine {
        name: S::NAME,
        settings: S::SETTINGS,
        lacks: S::LACKS,
        serve: serve::<S>,
    }
}

/// The worker of an engine, as its parent sees it.
pub struct Worker {
    pub name: &'static str,
    pub version: String,
    /// Work whose rows it is left out of.
    pub lacks: &'static [Work],
    process: libc::pid_t,
    to: File,
    from: BufReader<File>,
    dir: PathBuf,
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are then owned by the files.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "no pipe");
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").replace('\n', " ")
}

fn serve<S: Store>(dir: &Path, data: &Data, limit: Option<Limit>, from: BufReader<File>, mut to: File) {
    let greeting = S::available().and_then(|()| catch_unwind(S::version).map_err(|panic| words(&*panic)));
    let line = match &greeting {
        Ok(version) => format!("ready {version}\n"),
        Err(why) => format!("failed {why}\n"),
    };
    if to.write_all(line.as_bytes()).is_err() || greeting.is_err() {
        return;
    }
    let mut runner = Runner::<S>::new(dir, data, limit);
    for line in from.lines().map_while(Result::ok) {
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [number, round] = numbers[..] else {
            runner.clear();
            if to.write_all(b"done 0 0 0 0 0 0\n").is_err() {
                return;
            }
            continue;
        };
        let answer = catch_unwind(AssertUnwindSafe(|| runner.run(number as usize, data, round)));
        let line = match &answer {
            Ok(done) => format!(
                "done {} {} {} {} {} {}\n",
                done.spent.cpu,
                done.spent.wall,
                done.operations,
                done.sum,
                done.figure,
                u8::from(done.fifo)
            ),
            Err(panic) => format!("failed {}\n", words(&**panic)),
        };
        if to.write_all(line.as_bytes()).is_err() || answer.is_err() {
            // Its state is unknown; no destructors.
            return std::mem::forget(runner);
        }
    }
}

impl Engine {
    /// Forks a worker. Nothing in this process may have started a thread before.
    pub fn start(&self, dir: &Path, data: &Data, limit: Option<&Limit>) -> Result<Worker, String> {
        let ((from_parent, to), (from, to_parent)) = (pipe(), pipe());
        // SAFETY: this process has one thread.
        let process = unsafe { libc::fork() };
        assert!(process >= 0, "no process");
        if process == 0 {
            drop((to, from));
            // SAFETY: asks to be killed when the parent ends.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            (self.serve)(dir, data, limit.cloned(), BufReader::new(from_parent), to_parent);
            // SAFETY: ends the process, without what the parent would do at its end.
            unsafe { libc::_exit(0) };
        }
        drop((from_parent, to_parent));
        let mut worker = Worker {
            name: self.name,
            version: String::new(),
            lacks: self.lacks,
            process,
            to,
            from: BufReader::new(from),
            dir: dir.join(self.name),
        };
        worker.version = worker.answer(60)?;
        Ok(worker)
    }
}

impl Worker {
    /// The next line of the worker, or why there is none.
    fn answer(&mut self, seconds: u64) -> Result<String, String> {
        let mut ready = libc::pollfd {
            fd: self.from.get_ref().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let wait = i32::try_from(seconds * 1000).unwrap_or(i32::MAX);
        // SAFETY: one descriptor.
        if unsafe { libc::poll(&mut ready, 1, wait) } != 1 {
            return Err(format!("no answer in {seconds} s"));
        }
        let mut line = String::new();
        let read = self.from.read_line(&mut line);
        match (read, line.trim_end().split_once(' ')) {
            (Ok(0), _) => Err("its process died".to_owned()),
            (Ok(_), Some(("failed", why))) => Err(why.to_owned()),
            (Ok(_), Some((_, rest))) => Ok(rest.to_owned()),
            (Ok(_), None) => Err("an answer that cannot be understood".to_owned()),
            (Err(error), _) => Err(error.to_string()),
        }
    }

    fn ask(&mut self, question: &str, seconds: u64) -> Result<Outcome, String> {
        self.to
            .write_all(question.as_bytes())
            .map_err(|error| format!("its process died: {error}"))?;
        let line = self.answer(seconds)?;
        let words: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| words.get(i).and_then(|word| word.parse().ok()).unwrap_or(0);
        Ok(Outcome {
            spent: Spent {
                cpu: number(0),
                wall: number(1),
            },
            operations: number(2) as usize,
            sum: number(3),
            figure: words.get(4).and_then(|word| word.parse().ok()).unwrap_or(0.0),
            fifo: number(5) == 1,
        })
    }

    /// Has a row done.
    pub fn run(&mut self, number: usize, round: u64, seconds: u64) -> Result<Outcome, String> {
        self.ask(&format!("{number} {round}\n"), seconds)
    }

    /// Has the database removed.
    pub fn clear(&mut self) -> Result<(), String> {
        self.ask("clear\n", 600).map(|_| ())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: a child of ours that was not waited for yet.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            libc::waitpid(self.process, std::ptr::null_mut(), 0);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
