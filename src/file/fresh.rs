//! A file that is written under a temporary name in the directory of its target and renamed when it is complete. So a
//! new database, or a copy of one, is there as a whole or not at all.

use super::calls::may_extend_to;
use super::names::{above_standard, at_path, name_it};
use super::{special, Identity};
use crate::error::{Detail, Error, Result};
use std::fs::{File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Temporary names that contain the target's are shorter than this, so that `-shm` fits behind them everywhere.
const SHORT_NAME: usize = 140;

/// A file that has not got its name yet. Dropping it before then removes the file.
#[derive(Debug)]
pub struct Fresh {
    temporary: PathBuf,
    target: PathBuf,
    overwrite: bool,
    mode: Mode,
    named: bool,
}

/// What the permissions of a new file are, in the numbers of `chmod`.
#[derive(Debug, Clone, Copy)]
enum Mode {
    /// What the umask leaves of 0666.
    New,
    /// No more than these, and what the umask leaves: who may not read a database may not read its copy.
    AtMost(u32),
    /// These: those of the file that is replaced, or the owner's alone.
    Exactly(u32),
}

impl Mode {
    /// Returns the permissions with which the file is created, of which the umask may take some away. From its first
    /// moment on, nobody can open it who may not open it later, since whoever has it open sees what is written then.
    fn at_creation(self) -> u32 {
        match self {
            Mode::New => 0o666,
            Mode::AtMost(mode) | Mode::Exactly(mode) => mode & 0o666,
        }
    }
}

/// Returns device and inode of the file that `path` names, or `None` if there is none.
///
/// # Errors
/// `Access`, `Io`: the system does not tell.
pub fn identity_of(path: &Path) -> Result<Option<Identity>> {
    match std::fs::metadata(path).map_err(|e| at_path("look at", path, e)) {
        Ok(facts) => Ok(Some(Identity {
            device: facts.dev(),
            inode: facts.ino(),
        })),
        Err(Error::NoFile(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Fresh {
    /// Chooses a temporary name; nothing is created yet. With `overwrite`, [`Fresh::publish`] replaces an existing
    /// target.
    ///
    /// # Errors
    /// `FileExists`: the target exists, and `overwrite` is false. `NoFile`, `Access`: there is no such directory.
    /// `Invalid`, `NotADatabase`: the path names no file.
    pub fn new(target: &Path, overwrite: bool) -> Result<Fresh> {
        let name = target.file_name().ok_or(Error::Invalid("the path names no file"))?;
        // A path does not show its last slash or dot among its parts.
        let text = target.as_os_str().as_bytes();
        if text.ends_with(b"/") || text.ends_with(b"/.") {
            return Err(Error::NotADatabase(Detail::of_file(
                "it is the name of a directory",
                target,
                None,
            )));
        }
        if !overwrite && std::fs::symlink_metadata(target).is_ok() {
            return Err(Error::FileExists(Detail::of_file("", target, None)));
        }
        let folder = std::fs::metadata(directory(target)).map_err(|e| at_path("create", target, e))?;
        if !folder.is_dir() {
            return Err(at_path("create", target, io::Error::from_raw_os_error(libc::ENOTDIR)));
        }
        // The process number alone is not enough, because processes of different containers may have the same.
        let unique = format!(
            ".part-{}-{:016x}",
            std::process::id(),
            RandomState::new().build_hasher().finish()
        );
        let mut temporary = std::ffi::OsString::from(".");
        // A name that is as long as names can be leaves no room for more.
        match name.len() + unique.len() < SHORT_NAME {
            true => temporary.push(name),
            false => temporary.push("kv"),
        }
        temporary.push(unique);
        Ok(Fresh {
            temporary: directory(target).join(temporary),
            target: target.to_path_buf(),
            overwrite,
            mode: Mode::New,
            named: false,
        })
    }

    /// Chooses a temporary name for a copy under a name that somebody gave. As [`Fresh::new`], but what has the
    /// name of the target and is no file is not replaced, nor is the shared memory of a database. The copy gets the
    /// permissions of the file that it replaces, or else no more than those of what is copied.
    ///
    /// # Errors
    /// Those of [`Fresh::new`]; `NotADatabase`: the target is a device, a pipe, a directory or the like.
    pub fn given(target: &Path, overwrite: bool, copied: Option<Permissions>) -> Result<Fresh> {
        let mut fresh = Fresh::new(target, overwrite)?;
        special::refuse_to_replace(target)?;
        fresh.mode = match std::fs::metadata(target) {
            Ok(replaced) => Mode::Exactly(replaced.mode() & 0o777),
            Err(_) => copied.map_or(Mode::New, |copied| Mode::AtMost(copied.mode())),
        };
        Ok(fresh)
    }

    /// Says that the new file is its owner's alone.
    pub fn private(mut self) -> Fresh {
        self.mode = Mode::Exactly(0o600);
        self
    }

    /// Gives the file with the temporary name its permissions. Where the file system has no permissions, everybody has
    /// those of all files there.
    pub fn set_permissions(&self) {
        let set = |mode| std::fs::set_permissions(&self.temporary, Permissions::from_mode(mode));
        let _ = match (self.mode, std::fs::metadata(&self.temporary)) {
            (Mode::AtMost(most), Ok(facts)) => set(facts.mode() & most & 0o666),
            (Mode::Exactly(mode), _) => set(mode),
            _ => Ok(()),
        };
    }

    /// Returns the temporary name, for callers who create the file themselves.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Creates an empty file under the temporary name.
    ///
    /// # Errors
    /// `NoFile`: the directory does not exist. `Access`, `NoSpace`, `Io`.
    pub fn create(&self) -> Result<FreshFile> {
        let file = self.create_with(self.mode.at_creation())?;
        self.set_permissions();
        Ok(FreshFile { file, at: 0 })
    }

    /// Creates an empty file under the temporary name that its owner can open by that name. Once it is open, the caller
    /// calls [`Fresh::set_permissions`].
    ///
    /// # Errors
    /// Those of [`Fresh::create`].
    pub fn create_to_be_opened(&self) -> Result<()> {
        self.create_with(self.mode.at_creation() | 0o600).map(drop)
    }

    fn create_with(&self, mode: u32) -> Result<File> {
        let mut options = OpenOptions::new();
        let made = options.write(true).create_new(true).mode(mode).open(&self.temporary);
        // Nobody has heard of the temporary name.
        above_standard(made.map_err(|e| at_path("create", &self.target, e))?)
    }

    /// Gives the file its name, and makes the name durable. The content of the file must be durable already.
    ///
    /// # Errors
    /// `FileExists`: without `overwrite`, the target was created meanwhile. `Access`, `NoSpace`, `Io`.
    pub fn publish(mut self) -> Result<()> {
        if self.overwrite {
            let moved = std::fs::rename(&self.temporary, &self.target);
            moved.map_err(|e| at_path("rename", &self.target, e))?;
        } else {
            name_it(&self.temporary, &self.target)?;
        }
        self.named = true;
        let directory = directory(&self.target);
        let opened = File::open(directory).map_err(|e| at_path("open", directory, e))?;
        let synced = opened.sync_all();
        synced.map_err(|e| Error::io("sync the directory", e).of_file(directory))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.named {
            // An error is ignored, because a file that is left over wastes space but endangers nothing.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A new file that is written from its beginning to its end.
#[derive(Debug)]
pub struct FreshFile {
    file: File,
    at: u64,
}

impl FreshFile {
    /// Appends `bytes` to the file.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.at + bytes.len() as u64;
        let written = may_extend_to(end).and_then(|()| self.file.write_all_at(bytes, self.at));
        self.at = end;
        written.map_err(|e| Error::io("write the new file", e))
    }

    /// Appends `bytes` zeros, as a hole where the file system supports holes.
    pub fn zeros(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// Ends the file here and makes its content durable.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn finish(self) -> Result<()> {
        let sized = may_extend_to(self.at).and_then(|()| self.file.set_len(self.at));
        let sized = sized.and_then(|()| self.file.sync_all());
        sized.map_err(|e| Error::io("sync the new file", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_and_replaces_only_what_it_may() {
        let dir = std::env::temp_dir().join(format!("kv-fresh-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory");
        let path = dir.join("a");
        let make = |path: &Path, overwrite: bool, content: &[u8]| -> Result<()> {
            let fresh = Fresh::new(path, overwrite)?;
            let mut file = fresh.create()?;
            file.write(content)?;
            file.zeros(2);
            file.finish()?;
            fresh.publish()
        };
        make(&path, false, b"hello").expect("create");
        assert!(matches!(make(&path, false, b"other"), Err(Error::FileExists(_))));
        assert_eq!(std::fs::read(&path).expect("read"), b"hello\0\0");
        make(&path, true, b"other").expect("replace");
        assert_eq!(std::fs::read(&path).expect("read"), b"other\0\0");
        // One file is given up, and another finds its name taken meanwhile. Neither leaves anything behind.
        drop(Fresh::new(&dir.join("b"), false).expect("b").create().expect("create"));
        let late = Fresh::new(&dir.join("c"), false).expect("c");
        late.create().expect("create").finish().expect("finish");
        std::fs::write(dir.join("c"), b"first").expect("write");
        assert!(matches!(late.publish(), Err(Error::FileExists(_))));
        assert_eq!(std::fs::read_dir(&dir).expect("list").count(), 2);
        assert!(matches!(make(&dir.join("no/such"), false, b""), Err(Error::NoFile(_))));
        for folder in ["d/", "d/.", "d/./", "d//."] {
            let refused = Fresh::new(&dir.join(folder), true);
            assert!(matches!(refused, Err(Error::NotADatabase(_))), "{folder}: {refused:?}");
        }
        assert_eq!(identity_of(&dir.join("d")).expect("nothing is there"), None);
        assert_eq!(identity_of(&path.join("d")).expect("nothing can be there"), None);
        assert!(identity_of(&dir.join("d".repeat(300))).is_err());
        std::fs::remove_dir_all(&dir).expect("remove");
    }
}
