//! The bounds of a page's interval of keys, as its parents' separators give them.

use crate::error::Result;
use crate::page::branch::Branch;
use crate::page::header::PREFIX_MAX;
use crate::page::{PageSource, Ptr};
use crate::util::bytes::common_prefix;
use crate::util::short::Short;

/// Bounds of a page's interval of keys: `low <= key < high`.
pub(super) struct Fences {
    pub low: Short,
    /// `None`: no upper bound, the right edge of the tree.
    pub high: Option<Short>,
}

impl Fences {
    pub fn whole() -> Fences {
        Fences {
            low: Short::new(),
            high: None,
        }
    }

    /// Length of the prefix of a page with these bounds.
    pub fn prefix_len(&self) -> usize {
        self.high.as_ref().map_or(0, |high| prefix_len(&self.low, high))
    }
}

/// Length of the prefix of a page that holds keys from `low` on and below `high`.
pub(super) fn prefix_len(low: &[u8], high: &[u8]) -> usize {
    common_prefix(low, high).min(PREFIX_MAX)
}

/// The branch in a page.
pub(super) fn branch_of<'p>(page: &'p [u8], ptr: &Ptr) -> Result<Branch<'p>> {
    Branch::new(page).map_err(|d| d.at(ptr.page))
}

/// The bounds of child `i`.
pub(super) fn child_fences<'s, S: PageSource<'s>>(
    branch: &Branch<'_>,
    ptr: &Ptr,
    i: usize,
    fences: &Fences,
    source: &S,
) -> Result<Fences> {
    let low = if i == 0 {
        fences.low.clone()
    } else {
        separator(branch, i, ptr, source)?
    };
    let high = if i + 1 < branch.len() {
        Some(separator(branch, i + 1, ptr, source)?)
    } else {
        fences.high.clone()
    };
    Ok(Fences { low, high })
}

/// Separator `i` whole.
fn separator<'s, S: PageSource<'s>>(branch: &Branch<'_>, i: usize, ptr: &Ptr, source: &S) -> Result<Short> {
    let s = branch.separator(i).map_err(|d| d.at(ptr.page))?;
    let mut out = Short::of(branch.prefix());
    out.push(&s.head.to_be_bytes()[..s.len.min(4)]);
    out.push(s.inline_tail());
    if let Some(rest) = s.rest().map_err(|d| d.at(ptr.page))? {
        out.push(rest.read(source)?);
    }
    Ok(out)
}
