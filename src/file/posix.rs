//! A regular file.
//!
//! - Descriptors are 3 or higher, so that a stray `printf` does not write into a database, and are closed on exec.
//! - EINTR is retried and short writes are continued, so that nothing above this file sees either.
//! - [`Storage::read_at`] asks the kernel to drop its cache of the range first. What a failed write-back left in the
//!   cache is not on the disk, and recovery must not believe it. (Dirty pages stay in the cache; recovery syncs
//!   before it reads.)

#![allow(unsafe_code)]

use super::calls;
use super::door::Opener;
use super::fork::{self, Watch};
use super::fresh::identity_of;
use super::map::{Mapped, Reservation};
use super::members::Member;
use super::names::{above_standard, at_path, by_descriptor};
use super::peers::Peers;
use super::uncancelled::Uncancelled;
use super::{lock, special, Identity, Storage};
use crate::error::{Error, Result};
use crate::util::bytes::to_usize;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most slices that are handed to the system in one call.
const SLICES_MAX: usize = 1024;
/// A call that writes more than this writes no further than to the next multiple of this. File systems cache what one
/// call writes in one piece of memory, and later work on all of that piece when a single page in it is written or
/// synced again. In pieces of 1 MiB, a page costs three to ten times as much as in pieces of this size, and writing
/// them is no faster. A piece begins at a multiple of its own size, so whatever a call of up to this size writes, no
/// piece is larger.
const CALL: u64 = 32 << 10;

/// What a medium writes whole or not at all.
const SECTOR: usize = 512;

/// A regular file that is mapped.
#[derive(Debug)]
pub struct PosixFile {
    map: Reservation,
    /// This is dropped before the file, or a child could lose another descriptor that has got the file's number.
    _watch: Watch,
    file: Arc<File>,
    path: PathBuf,
    identity: Identity,
    writable: bool,
    /// The length that files of this process may have, or 0 if that is to be asked before each write.
    longest: AtomicU64,
}

/// A file that was opened but is not mapped yet. This is enough to learn which file it is.
#[derive(Debug)]
pub struct Candidate {
    /// This is dropped before the file, or a child could lose another descriptor that has got the file's number.
    watch: Watch,
    file: File,
    path: PathBuf,
    identity: Identity,
    writable: bool,
}

impl Candidate {
    /// Opens an existing regular file, for writing if that is permitted, because those who only read take locks, too.
    /// Without permission to write, the file is opened only if `read_only`.
    ///
    /// # Errors
    /// `NoFile`, `Access`, `NotADatabase` (not a regular file), `Io`.
    pub fn open(path: &Path, read_only: bool) -> Result<Candidate> {
        let open = |writable: bool| {
            OpenOptions::new()
                .read(true)
                .write(writable)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(path)
        };
        special::refuse_by_name(path)?;
        let mut writable = false;
        let (file, watch) = fork::watched(|| {
            let mut opened = open(true);
            writable = !matches!(&opened, Err(error) if read_only && denies_writing(error));
            if !writable {
                opened = open(false);
            }
            above_standard(opened.map_err(|e| at_path("open", path, e))?)
        })?;
        let facts = special::regular(&file, path)?;
        let identity = Identity {
            device: facts.dev(),
            inode: facts.ino(),
        };
        Ok(Candidate {
            watch,
            file,
            path: path.to_owned(),
            identity,
            writable,
        })
    }

    /// Returns which file it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns how many bytes the file has.
    ///
    /// # Errors
    /// `Io`.
    pub fn len(&self) -> Result<u64> {
        let facts = self.file.metadata().map_err(|e| Error::io("look at the file", e))?;
        Ok(facts.len())
    }

    /// Returns whether the file has no bytes, or nothing but a few zeros.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_empty(&self) -> Result<bool> {
        self.is_unfilled(&[0; 16 << 10])
    }

    /// Returns whether the file has no content: it has no bytes, or only what a call of [`Candidate::fill`] with an
    /// image like this one leaves that a power cut ended.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_unfilled(&self, image: &[u8]) -> Result<bool> {
        let len = self.len()?;
        if len == 0 || len > image.len() as u64 {
            return Ok(len == 0);
        }
        let mut bytes = vec![0; to_usize(len)];
        let read = self.file.read_exact_at(&mut bytes, 0);
        read.map_err(|e| Error::io("look at the file", e))?;
        let has_content = |part: &[u8]| part.iter().any(|byte| *byte != 0);
        let words = bytes.chunks(8).zip(image.chunks(8)).enumerate();
        let is_left_over = |at: usize, image: &[u8]| at * 8 >= SECTOR && has_content(image);
        Ok(words
            .into_iter()
            .all(|(at, (found, image))| !has_content(found) || is_left_over(at, image)))
    }

    /// Makes `image` the content of a file that has none, and makes it durable. If others do the same, one of them
    /// does it. Returns `false` if the file was replaced meanwhile, so that its path must be opened again.
    ///
    /// All but the first sector is written first, and what is written then is one sector. So after a power cut the
    /// file is a database, or has no content still.
    ///
    /// # Errors
    /// `Busy`: somebody has the file open; `ReadOnly`; `NoLocks`, `NoSpace`, `Io`.
    pub fn fill(&self, image: &[u8], patience: Duration) -> Result<bool> {
        if !self.writable {
            return Err(Error::ReadOnly("the file is empty and must not be written"));
        }
        let end = Instant::now() + patience;
        while !lock::try_lock(self.file.as_fd(), lock::Byte::Alive, lock::Mode::Exclusive)? {
            if Instant::now() >= end {
                return Err(Error::Busy(
                    "the file is empty, and another process has it open, which may be making a database of it".into(),
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let filled = self.fill_locked(image);
        lock::unlock(self.file.as_fd(), lock::Byte::Alive);
        filled
    }

    fn fill_locked(&self, image: &[u8]) -> Result<bool> {
        if identity_of(&self.path)? != Some(self.identity) {
            return Ok(false);
        }
        if !self.is_unfilled(image)? {
            // Somebody else was faster.
            return Ok(true);
        }
        let (first, rest) = image.split_at(SECTOR.min(image.len()));
        let write = |bytes: &[u8], at: usize| {
            calls::may_extend_to((at + bytes.len()) as u64)?;
            self.file.write_all_at(bytes, at as u64)?;
            self.file.sync_all()
        };
        let written = write(rest, first.len()).and_then(|()| write(first, 0));
        written
            .map_err(|e| Error::io("write the new database", e))
            .map(|()| true)
    }

    /// Opens the file once more, for reading. Nothing is ever locked through that.
    fn opened_again(&self) -> Option<File> {
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
            let file = options.open(path).ok()?;
            let facts = file.metadata().ok()?;
            let is_it = (facts.dev(), facts.ino()) == (self.identity.device, self.identity.inode);
            is_it.then_some(file)
        };
        // Without /proc, its path leads there, if it was not renamed a moment ago.
        open(Path::new(&by_descriptor(&self.file))).or_else(|| open(&self.path))
    }

    /// Maps the file.
    ///
    /// # Errors
    /// `NoMemory`, `Io`.
    pub fn map(self) -> Result<PosixFile> {
        let len = self.len()?;
        // Children lose the descriptor, but a mapping holds what it was made through, and so the locks taken through
        // that, for as long as any child has it. Where the file cannot be opened again, children keep the locks.
        let unlocked = self.opened_again();
        let mapped = unlocked.as_ref().unwrap_or(&self.file);
        Ok(PosixFile {
            map: Reservation::of_file(mapped.as_fd(), len)?,
            _watch: self.watch,
            file: Arc::new(self.file),
            path: self.path,
            identity: self.identity,
            writable: self.writable,
            longest: AtomicU64::new(0),
        })
    }
}

/// Returns whether a file may be there that can be read but not be written. Any other error is that of opening it: who
/// has permission to write and reads as one without it would keep writers away.
fn denies_writing(error: &io::Error) -> bool {
    let denials = [libc::EACCES, libc::EPERM, libc::EROFS, libc::ETXTBSY];
    error.raw_os_error().is_some_and(|errno| denials.contains(&errno))
}

/// Writes all `parts` from offset `at` on through `write`, which may write less than it was given or be interrupted.
fn write_fully(
    at: u64,
    parts: &[&[u8]],
    mut write: impl FnMut(u64, &[io::IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<()> {
    let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
    let in_one_call = bytes <= CALL;
    let (mut to, mut part, mut skip) = (at, 0, 0);
    let mut slices: Vec<io::IoSlice<'_>> = Vec::with_capacity(parts.len().min(SLICES_MAX));
    while part < parts.len() {
        if skip == parts[part].len() {
            (part, skip) = (part + 1, 0);
            continue;
        }
        slices.clear();
        let mut room = to_usize(if in_one_call { CALL } else { CALL - to % CALL });
        let first = std::iter::once(&parts[part][skip..]);
        for bytes in first.chain(parts[part + 1..].iter().copied()).take(SLICES_MAX) {
            let here = bytes.len().min(room);
            slices.push(io::IoSlice::new(&bytes[..here]));
            room -= here;
            if room == 0 {
                break;
            }
        }
        let mut written = match write(to, &slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        to += written as u64;
        while written > 0 {
            let step = written.min(parts[part].len() - skip);
            skip += step;
            written -= step;
            if skip == parts[part].len() {
                (part, skip) = (part + 1, 0);
            }
        }
    }
    Ok(())
}

impl PosixFile {
    fn outgrown(&self) -> Error {
        Error::Outgrown {
            reserved: self.map.reserved(),
        }
    }

    /// Returns how long files of this process may be.
    fn longest(&self) -> u64 {
        match self.longest.load(Relaxed) {
            0 => calls::longest_file(),
            known => known,
        }
    }

    /// Fails if the file must not reach to `end`. To write beyond the limit brings a signal that ends most processes,
    /// so nothing is written there at all.
    fn may_extend_to(&self, end: u64) -> io::Result<()> {
        calls::is_within(self.longest(), end)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn advise(&self, at: u64, len: u64, advice: i32) {
        calls::advise(&self.file, at, len, advice);
    }
}

impl Storage for PosixFile {
    fn len(&self) -> Result<u64> {
        Ok(self
            .file
            .metadata()
            .map_err(|e| Error::io("look at the file", e))?
            .len())
    }

    fn read_cached(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let _uncancelled = Uncancelled::new();
        self.file.read_exact_at(into, at).map_err(|e| Error::io("read", e))
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let _uncancelled = Uncancelled::new();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        self.advise(at, into.len() as u64, libc::POSIX_FADV_DONTNEED);
        self.read_cached(at, into)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn read_anew(&self, ranges: &[std::ops::Range<u64>]) -> bool {
        let _uncancelled = Uncancelled::new();
        for advice in [libc::POSIX_FADV_DONTNEED, libc::POSIX_FADV_WILLNEED] {
            for range in ranges {
                self.advise(range.start, range.end - range.start, advice);
            }
        }
        true
    }

    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
        let _uncancelled = Uncancelled::new();
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let end = at.checked_add(bytes).filter(|end| *end <= self.map.reserved());
        let end = end.ok_or_else(|| self.outgrown())?;
        let written = self.may_extend_to(end).and_then(|()| match parts {
            [one] if bytes <= CALL => self.file.write_all_at(one, at),
            _ => write_fully(at, parts, |at, slices| calls::write_slices(&self.file, at, slices)),
        });
        written.map_err(|e| Error::io("write", e))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn begin_sync(&self) {
        let _uncancelled = Uncancelled::new();
        // SAFETY: The descriptor is open. The next sync reports errors of the writes themselves, because this call
        // neither waits for the writes nor consumes their errors.
        unsafe { libc::sync_file_range(self.file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }

    fn sync(&self) -> Result<()> {
        let _uncancelled = Uncancelled::new();
        self.file.sync_data().map_err(|e| Error::io("sync", e))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let _uncancelled = Uncancelled::new();
        if len > self.map.reserved() {
            return Err(self.outgrown());
        }
        let sized = self.may_extend_to(len).and_then(|()| self.file.set_len(len));
        sized.map_err(|e| Error::io("set the file length", e))
    }

    fn fill(&self, from: u64, to: u64) -> Result<u64> {
        let _uncancelled = Uncancelled::new();
        // To write beyond a limit on the length of files would bring a signal.
        let (mut at, end) = (from, to.min(self.longest()).min(self.map.reserved()));
        while at < end {
            let bytes = to_usize((CALL - at % CALL).min(end - at));
            match self.file.write_at(&super::ZEROS[..bytes], at) {
                Ok(0) => break,
                // A write that meets the end of the space stops there, and only the next one says why.
                Ok(n) => at += n as u64,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => match Error::io("write ahead", e) {
                    Error::NoSpace(_) => break,
                    error => return Err(error),
                },
            }
        }
        Ok(at)
    }

    fn punch(&self, at: u64, len: u64) -> Result<Option<u64>> {
        let _uncancelled = Uncancelled::new();
        let room = || self.file.metadata().map(|file| file.blocks() * 512);
        let before = room();
        match calls::punch(&self.file, at, len) {
            Ok(()) => match (before, room()) {
                (Ok(before), Ok(after)) => Ok(Some(before.saturating_sub(after))),
                _ => Ok(Some(0)),
            },
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(e) => Err(Error::io("give room of the file back", e)),
        }
    }

    fn look_at_limits(&self) {
        self.longest.store(calls::longest_file(), Relaxed);
    }

    fn forget_limits(&self) {
        self.longest.store(0, Relaxed);
    }

    fn memory(&self) -> Mapped {
        self.map.mapped()
    }

    fn identity(&self) -> Option<Identity> {
        Some(self.identity)
    }

    fn permissions(&self) -> Option<Permissions> {
        self.file.metadata().ok().map(|facts| facts.permissions())
    }

    fn read_only(&self) -> bool {
        !self.writable
    }

    fn is_resident(&self, at: u64) -> bool {
        self.map.is_resident(at)
    }

    fn will_need(&self, at: u64, len: u64) {
        self.map.will_need(at, len);
    }

    fn peers(&self, words: usize, patience: Duration) -> Result<Arc<dyn Peers>> {
        let opener = Opener {
            file: self.file.clone(),
            path: &self.path,
            writable: self.writable,
            words,
        };
        let member = Member::join(&opener, patience)?;
        Ok(Arc::new(member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `parts` with at most `most` bytes per call, where every third call is interrupted.
    fn through(parts: &[&[u8]], most: usize) -> Vec<u8> {
        let (mut out, mut calls) = (vec![0; 64], 0);
        write_fully(7, parts, |at, slices| {
            calls += 1;
            if calls % 3 == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let all: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            let n = all.len().min(most);
            out[at as usize..at as usize + n].copy_from_slice(&all[..n]);
            Ok(n)
        })
        .expect("write");
        out
    }

    #[test]
    fn short_and_interrupted_writes_are_continued() {
        let parts: [&[u8]; 5] = [b"abc", b"", b"defgh", b"", b"i"];
        for most in 1..12 {
            assert_eq!(&through(&parts, most)[7..16], b"abcdefghi");
        }
        let zero = write_fully(0, &[b"x"], |_, _| Ok(0));
        assert!(zero.is_err());
    }

    #[test]
    fn what_is_short_is_written_in_one_call_and_the_rest_up_to_bounds() {
        let calls = |at: u64, parts: &[&[u8]]| {
            let mut calls = Vec::new();
            write_fully(at, parts, |at, slices| {
                let bytes = slices.iter().map(|slice| slice.len()).sum();
                calls.push((at, bytes));
                Ok(bytes)
            })
            .expect("write");
            calls
        };
        let page: &[u8] = &[7; 4096];
        let before = CALL - 4096;
        assert_eq!(calls(before, &[page; 3]), [(before, 12288)]);
        assert_eq!(calls(before, &[page; 8]), [(before, 32768)]);
        let (next, all) = (CALL, CALL as usize);
        assert_eq!(
            calls(before, &[page; 12]),
            [(before, 4096), (next, all), (2 * next, 12288)]
        );
    }

    #[test]
    fn a_file_is_read_past_the_cache_and_written() {
        let dir = std::env::temp_dir().join(format!("kv-posix-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory");
        let path = dir.join("a");
        std::fs::write(&path, b"hello").expect("create");
        let one = Candidate::open(&path, false).expect("open").map().expect("map");
        let two = Candidate::open(&path, false).expect("open");
        assert_eq!(one.identity(), Some(two.identity()));
        one.writev_at(5, &[b" wor", b"ld"]).expect("write");
        let mut bytes = [0; 11];
        one.read_at(0, &mut bytes).expect("read");
        assert_eq!(&bytes, b"hello world");
        assert!(one.read_at(1, &mut bytes).is_err());
        assert!(matches!(Candidate::open(&dir, true), Err(Error::NotADatabase(_))));
        std::fs::remove_dir_all(&dir).expect("remove");
    }
}
