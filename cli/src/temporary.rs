//! Files and folders that exist while a command works, under names of one form: `.kv-PURPOSE-PROCESS-RANDOM`. What is
//! not given another name goes away with the value.

use crate::exit::{Failure, Outcome};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A temporary file or folder, which is removed in the end.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Creates a file beside `target`, open for writing, with the permissions that are left of `mode` by the umask.
    /// Messages are about `target`: the user knows of no other file.
    pub fn file(target: &Path, purpose: &str, mode: u32) -> Outcome<(Temporary, File)> {
        let path = name(folder_of(target), purpose);
        let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let file = made.map_err(|e| Failure::file(target, "create", &e))?;
        Ok((Temporary { path }, file))
    }

    /// Creates a folder in another one, which messages are about.
    pub fn folder(within: &Path, purpose: &str) -> Outcome<Temporary> {
        let path = name(within, purpose);
        std::fs::create_dir(&path).map_err(|e| Failure::file(within, "work in", &e))?;
        Ok(Temporary { path })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives a file its name, under which it stays. A file that has the name is replaced.
    pub fn keep_as(self, path: &Path) -> Outcome<()> {
        std::fs::rename(&self.path, path).map_err(|e| Failure::file(path, "write", &e))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is left over wastes space but endangers nothing. A file that was kept has no longer this name.
        let _ = match self.path.is_dir() {
            true => std::fs::remove_dir_all(&self.path),
            false => std::fs::remove_file(&self.path),
        };
    }
}

/// Returns a name that nobody else has. The process number tells people whose it is, and is not enough: it comes again,
/// and processes of different containers may have the same.
fn name(within: &Path, purpose: &str) -> PathBuf {
    let random = RandomState::new().build_hasher().finish();
    within.join(format!(".kv-{purpose}-{}-{random:016x}", std::process::id()))
}

/// Returns the folder in which a file lies or would lie.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
