//! A page of the tree while it is being changed: the pointer that led to it, and its bytes.
//!
//! The page behind a pointer is either in the file, where it is shared with readers and never changes, or private, and
//! then this transaction alone knows it.

use super::arena::PageBox;
use crate::error::Result;
use crate::page::branch::Branch;
use crate::page::leaf::Leaf;
use crate::page::Ptr;
use std::ops::Deref;

/// A page that is being worked on.
pub(super) struct Node<'a> {
    /// The pointer that led to the page. Its entry count follows the changes; page and birth stay those of the old
    /// page.
    pub ptr: Ptr,
    /// The page as it is now.
    pub bytes: NodeBytes<'a>,
}

/// The bytes of a page that is being worked on.
pub(super) enum NodeBytes<'a> {
    /// A page of the file, as the snapshot sees it.
    Shared(&'a [u8]),
    /// The memory of a private page, taken out of the arena.
    Private(PageBox),
}

impl Deref for NodeBytes<'_> {
    type Target = [u8];
    #[inline(always)]
    fn deref(&self) -> &[u8] {
        match self {
            NodeBytes::Shared(bytes) => bytes,
            NodeBytes::Private(bytes) => bytes,
        }
    }
}

impl Node<'_> {
    /// Returns the size of the page in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_private(&self) -> bool {
        matches!(self.bytes, NodeBytes::Private(_))
    }

    /// Returns the page as a branch.
    pub fn branch(&self) -> Result<Branch<'_>> {
        branch_in(&self.bytes, &self.ptr)
    }

    /// Returns the page as a leaf.
    pub fn leaf(&self) -> Result<Leaf<'_>> {
        leaf_in(&self.bytes, &self.ptr)
    }
}

/// Returns the branch in the page behind `ptr`.
pub(super) fn branch_in<'p>(page: &'p [u8], ptr: &Ptr) -> Result<Branch<'p>> {
    Branch::new(page, ptr.page)
}

/// Returns the leaf in the page behind `ptr`.
pub(super) fn leaf_in<'p>(page: &'p [u8], ptr: &Ptr) -> Result<Leaf<'p>> {
    Leaf::new(page, ptr.page)
}
