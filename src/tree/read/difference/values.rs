//! Whether two stored values have the same bytes, read only as far as their descriptions leave that open.

use super::side::{Side, SideError};
use crate::error::Result;
use crate::page::chain::{pieces, Chain, Sums};
use crate::page::leaf::Stored;
use crate::page::PageSource;

/// The bytes of a stored value, piece by piece.
enum Content<'s> {
    Inline(&'s [u8]),
    Chain(Chain),
}

impl<'s> Content<'s> {
    fn of(stored: Stored<'s>, page_size: usize) -> Result<Content<'s>> {
        match stored {
            Stored::Inline(bytes) => Ok(Content::Inline(bytes)),
            Stored::Chain(bytes) => Ok(Content::Chain(Chain::decode(bytes, page_size).map_err(|d| d.at(None))?)),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Chain(chain) => chain.len,
        }
    }

    /// Returns piece `i`. A value in its leaf is one piece.
    fn piece<S: PageSource<'s> + ?Sized>(&self, i: u64, source: &S) -> Result<&'s [u8]> {
        match self {
            Content::Inline(bytes) => Ok(bytes),
            Content::Chain(chain) => chain.piece(i, source),
        }
    }
}

/// Returns whether the values of a key are equal before and after. Equal descriptions of long values say so by
/// themselves; under different ones, the contents are compared.
///
/// # Errors
/// `Corrupt`: a description or a content cannot be read.
pub(super) fn are_equal<'s, S: PageSource<'s> + ?Sized>(
    before: (Stored<'s>, &S),
    after: (Stored<'s>, &S),
) -> std::result::Result<bool, SideError> {
    let (was, is) = (before.0, after.0);
    if was.is_chain() == is.is_chain() && (was.bytes() == is.bytes() || !was.is_chain()) {
        return Ok(was.bytes() == is.bytes());
    }
    let was = Content::of(was, before.1.page_size()).map_err(Side::Before.error())?;
    let is = Content::of(is, after.1.page_size()).map_err(Side::After.error())?;
    if was.len() != is.len() {
        return Ok(false);
    }
    // Other checksums of as many bytes mean other bytes, but equal ones do not mean equal bytes.
    if let (Content::Chain(was), Content::Chain(is)) = (&was, &is) {
        if let (Sums::Direct(was), Sums::Direct(is)) = (&was.sums, &is.sums) {
            if was != is {
                return Ok(false);
            }
        }
    }
    for i in 0..pieces(was.len()) {
        let was = was.piece(i, before.1).map_err(Side::Before.error())?;
        let is = is.piece(i, after.1).map_err(Side::After.error())?;
        if was != is {
            return Ok(false);
        }
    }
    Ok(true)
}
