//! Where lines are kept from one shell to the next.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// How many lines are kept.
pub const LINES: usize = 10_000;

/// Returns the file of the history, whose folder is made if it is missing; `None` if the user has no place for it.
pub fn file() -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = std::env::var_os("XDG_STATE_HOME").and_then(absolute).or_else(|| {
        let home = std::env::var_os("HOME").and_then(absolute)?;
        Some(home.join(".local/state"))
    })?;
    let folder = state.join("kv");
    // Keys and values are nobody else's business.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.ok().map(|()| folder.join("history"))
}
