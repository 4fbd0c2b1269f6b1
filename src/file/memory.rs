//! A database without a file: anonymous memory behind the interface of a file. It ends with the process.

#![allow(unsafe_code)]

use super::map::{Mapped, Reservation};
use super::{Identity, Storage};
use crate::error::{Error, Result};
use crate::util::bytes::to_usize;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Anonymous memory as a [`Storage`].
#[derive(Debug)]
pub struct Memory {
    range: Reservation,
    len: AtomicU64,
}

impl Memory {
    /// Returns an empty storage.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn new() -> Result<Memory> {
        Ok(Memory {
            range: Reservation::anonymous_large()?,
            len: AtomicU64::new(0),
        })
    }

    fn outgrown(&self) -> Error {
        Error::Outgrown {
            reserved: self.range.reserved(),
        }
    }
}

impl Storage for Memory {
    fn len(&self) -> Result<u64> {
        Ok(self.len.load(SeqCst))
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let end = at.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.len.load(SeqCst)) {
            return Err(Error::io("read", std::io::ErrorKind::UnexpectedEof.into()));
        }
        // SAFETY: The memory is anonymous, and the pager reads through here only while nobody writes these bytes.
        unsafe { self.range.read(at, into) };
        Ok(())
    }

    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let end = at.checked_add(bytes).filter(|end| *end <= self.range.reserved());
        let end = end.ok_or_else(|| self.outgrown())?;
        self.range.extend(to_usize(end))?;
        let mut to = at;
        for part in parts {
            // SAFETY: The memory is anonymous, and the pager writes only pages that no view was given (reuse rule,
            // I-3).
            unsafe { self.range.write(to, part) };
            to += part.len() as u64;
        }
        self.len.fetch_max(end, SeqCst);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        if len > self.range.reserved() {
            return Err(self.outgrown());
        }
        self.range.extend(to_usize(len))?;
        let before = self.len.swap(len, SeqCst);
        if len < before {
            self.range.discard(len, before - len);
        }
        Ok(())
    }

    fn punch(&self, at: u64, len: u64) -> Result<Option<u64>> {
        self.range.discard(at, len);
        Ok(Some(len))
    }

    fn fill(&self, from: u64, to: u64) -> Result<u64> {
        // What was never written is zero, and takes no memory.
        let end = to.min(self.range.reserved());
        self.range.extend(to_usize(end))?;
        self.len.fetch_max(end, SeqCst);
        Ok(end.max(from))
    }

    fn memory(&self) -> Mapped {
        self.range.mapped()
    }

    fn identity(&self) -> Option<Identity> {
        None
    }

    fn read_only(&self) -> bool {
        false
    }
}
