//! The fences of a page: the bounds of its interval of keys, as the separators above give them.
//!
//! All keys of a page lie within its fences, so each begins with what the two fences share. That is the page's prefix:
//! it is stored once and never compared. A page is built with the prefix its fences give; when fences move apart
//! because a neighbour vanished, the page on that edge is told (`Apply::widen`).

use super::node::Node;
use crate::error::{Error, Result};
use crate::page::branch::Branch;
use crate::page::header::PREFIX_MAX;
use crate::page::layout::HEAD_BYTES;
use crate::page::PageSource;
use crate::util::bytes::common_prefix;
use crate::util::short::Short;
use std::collections::TryReserveError;

/// The bounds of a page's interval of keys: `low <= key < high`.
pub(super) struct Fences {
    pub low: Short,
    /// The upper bound, or `None` if the page is on the right edge of the tree.
    pub high: Option<Short>,
}

impl Fences {
    /// Returns the fences of a whole tree.
    pub fn whole() -> Fences {
        Fences {
            low: Short::new(),
            high: None,
        }
    }

    /// Returns whether the page is on the right edge of its tree.
    pub fn is_open(&self) -> bool {
        self.high.is_none()
    }

    /// Returns the length of the prefix of a page with these fences.
    pub fn prefix_len(&self) -> usize {
        self.high.as_ref().map_or(0, |high| prefix_len(&self.low, high))
    }

    /// Returns the fences of child `i` of the branch that has these fences.
    pub fn of_child<'s, S: PageSource<'s>>(&self, node: &Node<'_>, i: usize, source: &S) -> Result<Fences> {
        self.of_child_in(&node.branch()?, i, source)
    }

    /// Does what [`Fences::of_child`] does, with a branch that is not open.
    pub fn of_child_in<'s, S: PageSource<'s>>(&self, branch: &Branch<'_>, i: usize, source: &S) -> Result<Fences> {
        let low = match i {
            0 => copy(&self.low)?,
            _ => separator(branch, i, source)?,
        };
        let high = match i + 1 < branch.len() {
            true => Some(separator(branch, i + 1, source)?),
            false => self.high.as_deref().map(copy).transpose()?,
        };
        Ok(Fences { low, high })
    }

    /// Returns the length of the prefix of the page that takes the elements from `start` to `end` of a sequence of
    /// `len`. These are the fences of the whole sequence.
    pub fn prefix_between(&self, start: &Cut, end: &Cut, len: usize) -> usize {
        let low: &[u8] = if start.at == 0 { &self.low } else { &start.separator };
        match &self.high {
            _ if end.at < len => prefix_len(low, &end.separator),
            Some(high) => prefix_len(low, high),
            None => 0,
        }
    }

    /// Returns the first `len` bytes of the lower fence of the page that begins at `start`.
    pub fn prefix_from<'c>(&'c self, start: &'c Cut, len: usize) -> &'c [u8] {
        match start.at {
            0 => &self.low[..len],
            _ => &start.separator[..len],
        }
    }
}

/// Where a sorted sequence is cut into pages: before element `at`.
#[derive(Default)]
pub(super) struct Cut {
    pub at: usize,
    /// The separator between that element and the one before it. It is empty at the two ends of the sequence, where the
    /// fences of the whole hold.
    pub separator: Vec<u8>,
}

/// Returns the length of the prefix of a page that holds keys from `low` on and below `high`.
pub(super) fn prefix_len(low: &[u8], high: &[u8]) -> usize {
    common_prefix(low, high).min(PREFIX_MAX)
}

/// Returns a copy of a fence, which may be as long as a key.
///
/// # Errors
/// `NoMemory`.
pub(super) fn copy(fence: &[u8]) -> Result<Short> {
    Short::of(fence).map_err(no_memory)
}

fn no_memory(_: TryReserveError) -> Error {
    Error::NoMemory("the bounds of a page")
}

/// Returns separator `i` with the prefix of its branch.
fn separator<'s, S: PageSource<'s>>(branch: &Branch<'_>, i: usize, source: &S) -> Result<Short> {
    let s = branch.separator(i)?;
    let mut out = copy(branch.prefix())?;
    out.push(&s.head.to_be_bytes()[..s.len.min(HEAD_BYTES)])
        .map_err(no_memory)?;
    out.push(s.inline_remainder()).map_err(no_memory)?;
    if let Some(rest) = s.rest().map_err(|d| d.at(branch.at()))? {
        out.push(rest.read(source)?).map_err(no_memory)?;
    }
    Ok(out)
}
