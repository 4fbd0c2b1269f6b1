//! Reading pages and overflow runs of one commit.

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::meta::{self, Head, Meta};
use crate::page::{kind, Header, Page};
use crate::source::Source;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

/// A file as of one commit.
pub(crate) struct Pages {
    pub path: PathBuf,
    pub layout: Layout,
    pub meta: Meta,
    pub lost: Option<(u64, String)>,
    source: Box<dyn Source + Send + Sync>,
    /// Of the file, when it was opened.
    length: u64,
    checksum: usize,
}

impl Pages {
    /// Opens a file, with a path for messages.
    pub fn open(source: Box<dyn Source + Send + Sync>, path: PathBuf) -> Result<Pages> {
        let Head {
            layout,
            meta,
            lost,
            checksum,
        } = meta::read(&*source, &path)?;
        let length = source.len().map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        Ok(Pages {
            path,
            layout,
            meta,
            lost,
            source,
            length,
            checksum,
        })
    }

    /// The error of a damaged page.
    pub fn damaged(&self, page: u64, what: impl Into<String>) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            page,
            what: what.into(),
        }
    }

    /// Checks that a page was not read before, that it is in use and not a meta page, and that the file has it. The
    /// same for a run of pages. Returns where it begins.
    fn claim(&self, seen: &mut ReadPages, page: u64, pages: u64) -> Result<u64> {
        let last = page.checked_add(pages - 1).filter(|&last| last <= self.meta.last_page);
        let Some(last) = last.filter(|_| page > 1) else {
            let of = self.meta.last_page;
            return Err(self.damaged(page, format!("it is referred to, and the file has pages 2 to {of}")));
        };
        let size = u64::from(self.meta.page_size);
        let end = last.checked_add(1).and_then(|pages| pages.checked_mul(size));
        if end.is_none_or(|end| end > self.length) {
            return Err(self.damaged(last, "the file ends before it, or in it"));
        }
        match (page..=last).find(|&page| !seen.insert(page)) {
            Some(again) => Err(self.damaged(again, "two places refer to it")),
            None => Ok(page * size),
        }
    }

    fn read(&self, page: u64, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.source
            .read_at(buffer, offset)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => self.damaged(page, "the file ends before it, or in it"),
                _ => Error::Io {
                    path: self.path.clone(),
                    source,
                },
            })
    }

    /// Reads a page of a tree.
    pub fn tree(&self, seen: &mut ReadPages, number: u64) -> Result<Page> {
        let offset = self.claim(seen, number, 1)?;
        let mut bytes = vec![0; self.meta.page_size as usize - self.checksum];
        self.read(number, &mut bytes, offset)?;
        Page::tree(&self.layout, number, bytes).map_err(|what| self.damaged(number, what))
    }

    /// Reads a value that lies in an overflow run.
    pub fn overflow(&self, seen: &mut ReadPages, number: u64, size: u32) -> Result<Vec<u8>> {
        let header = self.layout.header();
        let bytes = header as u64 + u64::from(size) + self.checksum as u64;
        let pages = bytes.div_ceil(u64::from(self.meta.page_size));
        let offset = self.claim(seen, number, pages)?;
        let mut head = vec![0; header];
        self.read(number, &mut head, offset)?;
        let head = Header::at(&self.layout, &head).ok_or_else(|| self.damaged(number, "it has no header"))?;
        if head.number != number {
            return Err(self.damaged(number, format!("it says that it is page {}", head.number)));
        }
        if head.kind != kind::OVERFLOW {
            let what = format!("it is not the beginning of an overflow run (flags {:#x})", head.kind);
            return Err(self.damaged(number, what));
        }
        if u64::from(head.pages) < pages {
            let what = format!("it has {} pages, and a value of {size} bytes needs {pages}", head.pages);
            return Err(self.damaged(number, what));
        }
        let mut value = Vec::new();
        let length = usize::try_from(size)
            .ok()
            .filter(|&length| value.try_reserve_exact(length).is_ok());
        let Some(length) = length else {
            return Err(Error::NoMemory {
                path: self.path.clone(),
                bytes: u64::from(size),
            });
        };
        value.resize(length, 0);
        self.read(number, &mut value, offset + header as u64)?;
        Ok(value)
    }

    /// Answers with `Changed` if somebody has committed since the file was opened.
    pub fn check_unchanged(&self) -> Result<()> {
        match meta::read(&*self.source, &self.path) {
            Ok(head) if head.meta == self.meta => Ok(()),
            Err(Error::Io { path, source }) => Err(Error::Io { path, source }),
            _ => Err(Error::Changed {
                path: self.path.clone(),
            }),
        }
    }
}

/// The pages that were read for one list of entries.
#[derive(Default)]
pub(crate) struct ReadPages {
    /// Bits of 4096 pages each, where at least one was read.
    chunks: HashMap<u64, Box<[u64; 64]>>,
}

impl ReadPages {
    /// Notes a page. Returns whether it is new.
    fn insert(&mut self, page: u64) -> bool {
        let chunk = self.chunks.entry(page / 4096).or_insert_with(|| Box::new([0; 64]));
        let word = &mut chunk[(page / 64 % 64) as usize];
        let bit = 1 << (page % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
