//! Who has a database open, whether he reads, writes or does nothing. Such a file is not replaced unasked.

use super::readers::process_name;
use crate::context::Context;
use crate::database::{beside, Database};
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::input::args::OverwriteArgs;
use crate::output::figures::Figure;
use std::fs::{metadata, read_dir};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses to replace a database that others have open: they would not notice, and go on with a file that is gone.
pub fn check_target(target: &Path, args: OverwriteArgs, context: &Context) -> Outcome<()> {
    let others = match args.overwrite && !args.force {
        true => others(target, context),
        false => None,
    };
    match others {
        None => Ok(()),
        Some(others) => Err(Failure::new(
            Exit::Busy,
            format!(
                "{}: {others} it open, and would go on with the old file; end what has it open, or give --force, \
                 which replaces it all the same",
                shown(target)
            ),
        )),
    }
}

/// Returns who else has the file open as a database, in words, or `None` if nobody has.
fn others(path: &Path, context: &Context) -> Option<String> {
    let real = path.canonicalize().ok()?;
    // Without this, nobody has it open but who could not make it, and then opening says so.
    let is_shared = beside(&real).exists();
    let is_open = match Database::to_read(path, context) {
        // The only process learns from the file which pages are dead, and others from those who write.
        Ok(database) => is_shared && !database.db.stat().dead_pages_known,
        Err(failure) => failure.exit() == Exit::Busy,
    };
    is_open.then(|| in_words(&processes(&real)))
}

/// Returns the processes that have this file open, as far as the system tells.
fn processes(path: &Path) -> Vec<u32> {
    let Ok(file) = metadata(path) else { return Vec::new() };
    let has_it = |pid: u32| {
        let Ok(open) = read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        open.flatten()
            .filter_map(|open| metadata(open.path()).ok())
            .any(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
    };
    let all = read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<u32> = all
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id() && has_it(*pid))
        .collect();
    found.sort_unstable();
    found
}

fn in_words(processes: &[u32]) -> String {
    let called = |pid: &u32| match process_name(*pid) {
        Figure::Text(name) => format!("process {pid} ({name})"),
        _ => format!("process {pid}"),
    };
    match processes {
        [] => "another process has".to_string(),
        [one] => format!("{} has", called(one)),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(called).collect();
            format!("{} and {} have", most.join(", "), called(last))
        }
    }
}
