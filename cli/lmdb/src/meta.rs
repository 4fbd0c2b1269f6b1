//! Meta pages: which layout a file has, and with which commit reading begins.

use crate::database::Record;
use crate::error::{Error, Result};
use crate::layout::{Layout, DATA_VERSION_BEFORE_1_0, MAGIC};
use crate::page::kind;
use crate::source::Source;
use std::path::Path;

/// Bytes of a meta page that are in use, in the layout that has most.
const HEAD: usize = 160;
/// The smallest page, and by how many bits the largest is larger.
const PAGE_SIZE_MIN: u32 = 256;
const PAGE_SIZE_BITS: u32 = 8;
/// The flag of environments whose pages are encrypted.
const ENCRYPTED: u16 = 0x2000;

/// What a meta page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub page_size: u32,
    pub main: Record,
    pub last_page: u64,
    pub transaction: u64,
    encrypted: bool,
}

/// What both meta pages say together.
pub(crate) struct Head {
    pub layout: Layout,
    /// The newest commit.
    pub meta: Meta,
    /// The meta page that cannot be used, and why.
    pub lost: Option<(u64, String)>,
    /// Bytes that a checksum takes at the end of a page.
    pub checksum: usize,
}

impl Meta {
    /// What a meta page says, or what is wrong with it.
    fn parse(layout: &Layout, bytes: &[u8], page: u64) -> std::result::Result<Meta, String> {
        let header = layout.header();
        let short = || "the file ends in it".to_string();
        let flags = layout.u16(bytes, header - 6).ok_or_else(short)?;
        let magic = layout.u32(bytes, header).ok_or_else(short)?;
        let version = layout.u32(bytes, header + 4).ok_or_else(short)?;
        if (magic, version) != (MAGIC, layout.version.data_version()) {
            return Err(format!("it has magic number {magic:#x} and data version {version}"));
        }
        if flags & kind::META == 0 {
            return Err(format!("it is not marked as a meta page (flags {flags:#x})"));
        }
        let number = layout.word(bytes, 0).ok_or_else(short)?;
        if number != page {
            return Err(format!("it says that it is page {number}"));
        }
        let records = header + 8 + 2 * layout.word_bytes();
        let free = Record::at(layout, bytes, records).ok_or_else(short)?;
        let main = Record::at(layout, bytes, records + layout.record()).ok_or_else(short)?;
        let end = records + 2 * layout.record();
        let last_page = layout.word(bytes, end).ok_or_else(short)?;
        let transaction = layout.word(bytes, end + layout.word_bytes()).ok_or_else(short)?;
        let sizes = PAGE_SIZE_MIN..=layout.page_size_max();
        if !free.item.is_power_of_two() || !sizes.contains(&free.item) {
            return Err(format!("it says that pages have {} bytes", free.item));
        }
        if last_page < 1 {
            return Err(format!("it says that the last page in use is {last_page}"));
        }
        main.check(last_page)?;
        let encrypted = free.flags.bits() & ENCRYPTED != 0;
        Ok(Meta {
            page_size: free.item,
            main,
            last_page,
            transaction,
            encrypted,
        })
    }
}

/// Reads up to so many bytes, fewer at the end of the file.
pub(crate) fn read_up_to(source: &dyn Source, path: &Path, offset: u64, bytes: usize) -> Result<Vec<u8>> {
    let io = |source| Error::Io {
        path: path.to_path_buf(),
        source,
    };
    let left = source.len().map_err(io)?.saturating_sub(offset);
    let mut out = vec![0; usize::try_from(left).unwrap_or(bytes).min(bytes)];
    if !out.is_empty() {
        source.read_at(&mut out, offset).map_err(io)?;
    }
    Ok(out)
}

/// Reads both meta pages.
///
/// # Errors
/// `NotLmdb`, `Unsupported`, `Damaged` if neither can be used, and `Io`.
pub(crate) fn read(source: &dyn Source, path: &Path) -> Result<Head> {
    let head = newest(source, path)?;
    if head.meta.encrypted {
        let what = "the file is encrypted, and only the program that wrote it can read it".to_string();
        return Err(Error::Unsupported {
            path: path.to_path_buf(),
            what,
        });
    }
    let length = source.len().map_err(|source| Error::Io {
        path: path.to_path_buf(),
        source,
    })?;
    if length < 2 * u64::from(head.meta.page_size) {
        return Err(damaged(path, 1, "the file ends before it, or in it".to_string()));
    }
    let checksum = checksum_bytes(source, path, &head)?;
    Ok(Head { checksum, ..head })
}

/// The meta page of the newest commit that can be used, without the size of checksums.
fn newest(source: &dyn Source, path: &Path) -> Result<Head> {
    let first = read_up_to(source, path, 0, HEAD)?;
    let Some(layout) = layout_of(&first) else {
        let what = "it has no magic number and version of LMDB".to_string();
        return match lone_second(source, path, what)? {
            Some(head) => Ok(head),
            None => Err(unknown(&first, path)),
        };
    };
    match Meta::parse(&layout, &first, 0) {
        Ok(zero) => newer(source, path, layout, zero),
        Err(what) => match lone_second(source, path, what.clone())? {
            Some(head) => Ok(head),
            None => Err(damaged(path, 0, what)),
        },
    }
}

/// Of page 0, which can be used, and page 1 that with the newer commit.
fn newer(source: &dyn Source, path: &Path, layout: Layout, zero: Meta) -> Result<Head> {
    let second = read_up_to(source, path, u64::from(zero.page_size), HEAD)?;
    let one = Meta::parse(&layout, &second, 1).and_then(|one| match one.page_size == zero.page_size {
        true => Ok(one),
        false => Err(format!("it says that pages have {} bytes", one.page_size)),
    });
    let (meta, lost) = match one {
        Ok(one) if one.transaction > zero.transaction => (one, None),
        Ok(_) => (zero, None),
        Err(what) => (zero, Some((1, what))),
    };
    Ok(Head {
        layout,
        meta,
        lost,
        checksum: 0,
    })
}

/// The error of a damaged page.
fn damaged(path: &Path, page: u64, what: String) -> Error {
    Error::Damaged {
        path: path.to_path_buf(),
        page,
        what,
    }
}

/// The layout whose magic number and version stand where they belong.
fn layout_of(bytes: &[u8]) -> Option<Layout> {
    Layout::all().find(|layout| {
        let at = layout.header();
        layout.u32(bytes, at) == Some(MAGIC) && layout.u32(bytes, at + 4) == Some(layout.version.data_version())
    })
}

/// Page 1, looked for at the end of a page of each size, when page 0 cannot be used. `what` is why.
fn lone_second(source: &dyn Source, path: &Path, what: String) -> Result<Option<Head>> {
    for size in (0..=PAGE_SIZE_BITS).map(|bits| PAGE_SIZE_MIN << bits) {
        let bytes = read_up_to(source, path, u64::from(size), HEAD)?;
        let Some(layout) = layout_of(&bytes) else { continue };
        match Meta::parse(&layout, &bytes, 1) {
            Ok(meta) if meta.page_size == size => {
                return Ok(Some(Head {
                    layout,
                    meta,
                    lost: Some((0, what)),
                    checksum: 0,
                }))
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Why a file without a usable meta page is not read.
fn unknown(bytes: &[u8], path: &Path) -> Error {
    let path = path.to_path_buf();
    let found = Layout::all().find(|layout| layout.u32(bytes, layout.header()) == Some(MAGIC));
    let version = found.and_then(|layout| layout.u32(bytes, layout.header() + 4));
    match version {
        Some(DATA_VERSION_BEFORE_1_0) => {
            let what = "the file was written by a build of LMDB from before 1.0 (data version 2)".to_string();
            Error::Unsupported { path, what }
        }
        Some(version) => {
            let what = format!("the file has data version {version}, and those of LMDB 0.9 (1) and 1.0 (3) are known");
            Error::Unsupported { path, what }
        }
        None if bytes.is_empty() => Error::NotLmdb {
            path,
            why: "it is empty".to_string(),
        },
        None => Error::NotLmdb {
            path,
            why: "neither of the first two pages is a meta page".to_string(),
        },
    }
}

/// The size of checksums, which page 0 of 1.0 has at its end.
fn checksum_bytes(source: &dyn Source, path: &Path, head: &Head) -> Result<usize> {
    if head.layout.version == crate::layout::Version::V0_9 {
        return Ok(0);
    }
    let bytes = read_up_to(source, path, u64::from(head.meta.page_size) - 2, 2)?;
    let checksum = usize::from(head.layout.u16(&bytes, 0).unwrap_or(0));
    if checksum + head.layout.header() >= head.meta.page_size as usize {
        return Err(damaged(
            path,
            0,
            format!("it says that checksums have {checksum} bytes"),
        ));
    }
    Ok(checksum)
}
