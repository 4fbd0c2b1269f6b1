//! A page of the tree while it is being changed: opened, made private, closed or discarded.
//!
//! The page behind a pointer is either in the file, where it is shared with readers and never changes, or private, and
//! then this transaction alone knows it. *I-10*: a transaction edits only pages it took itself. So [`Apply::make_private`]
//! copies a page of the file before the first change, and gives the file's page back with the birth that its pointer
//! carries; a page that is private already changes in place.
//!
//! A private page leaves the arena while it is open. Each [`Node`] therefore ends in [`Apply::close`] or
//! [`Apply::discard`]; one that is merely dropped (an error does that) loses its page, and the transaction with it.

use super::apply::Apply;
use super::arena::{Arena, PageBox};
use crate::error::{Error, Result};
use crate::ids::Run;
use crate::page::branch::Branch;
use crate::page::header;
use crate::page::leaf::Leaf;
use crate::page::{Extent, PageSink, PageSource, Ptr};
use std::ops::Deref;

/// A page that is being worked on.
pub(super) struct Node<'a> {
    /// Where the page was found. Its entry count follows the changes; place and birth are those of the page as it was.
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
    /// Bytes of the page.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_private(&self) -> bool {
        matches!(self.bytes, NodeBytes::Private(_))
    }

    /// The page as a branch.
    pub fn branch(&self) -> Result<Branch<'_>> {
        branch_in(&self.bytes, &self.ptr)
    }

    /// The page as a leaf.
    pub fn leaf(&self) -> Result<Leaf<'_>> {
        leaf_in(&self.bytes, &self.ptr)
    }
}

/// The branch in the page behind `ptr`.
pub(super) fn branch_in<'p>(page: &'p [u8], ptr: &Ptr) -> Result<Branch<'p>> {
    Branch::new(page, ptr.page)
}

/// The leaf in the page behind `ptr`.
pub(super) fn leaf_in<'p>(page: &'p [u8], ptr: &Ptr) -> Result<Leaf<'p>> {
    Leaf::new(page, ptr.page)
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Opens the page behind `ptr`, which is to be of this level: levels fall by one on each step down, so a damaged tree
    /// whose pointers form a circle ends in an error.
    pub(super) fn open(&mut self, ptr: Ptr, level: u8) -> Result<Node<'a>> {
        let bytes = match ptr.page.as_private() {
            // The page itself, or a copy if its bytes are pinned.
            Some(page) => NodeBytes::Private(self.arena.take(page).ok_or_else(not_ours)?),
            None => {
                self.make_readable(&ptr)?;
                NodeBytes::Shared(self.source.page(&ptr)?)
            }
        };
        if header::level(&bytes) != level {
            return Err(Error::corrupt(ptr.page, "page of another level"));
        }
        Ok(Node { ptr, bytes })
    }

    /// Makes the page private if it is not, giving the file's page back; the bytes, to be changed.
    pub(super) fn make_private<'n>(&mut self, node: &'n mut Node<'a>) -> &'n mut [u8] {
        if let NodeBytes::Shared(bytes) = node.bytes {
            let mut copy = self.arena.memory();
            copy.copy_from_slice(bytes);
            self.sink.release(page_of(&node.ptr));
            node.bytes = NodeBytes::Private(copy);
        }
        match &mut node.bytes {
            NodeBytes::Private(bytes) => bytes,
            // It was made private above.
            NodeBytes::Shared(_) => &mut [],
        }
    }

    /// Ends work on a page; the pointer to it. A private page goes back into the arena, in whatever slot is vacant.
    pub(super) fn close(&mut self, node: Node<'a>) -> Ptr {
        match node.bytes {
            NodeBytes::Shared(_) => node.ptr,
            NodeBytes::Private(bytes) => Arena::ptr(self.arena.insert(bytes), node.ptr.entries),
        }
    }

    /// Ends work on a page that is not needed any more.
    pub(super) fn discard(&mut self, node: Node<'a>) {
        match node.bytes {
            NodeBytes::Shared(_) => self.sink.release(page_of(&node.ptr)),
            // Nothing can be pinned in it: `open` copied the page if something was.
            NodeBytes::Private(bytes) => self.arena.recycle(bytes),
        }
    }

    /// Gives a page back that was not opened.
    pub(super) fn release(&mut self, ptr: &Ptr) {
        match ptr.page.as_private() {
            Some(page) => self.arena.free(page),
            None => self.sink.release(page_of(ptr)),
        }
    }

    /// Makes sure that the page can be read: one that was placed during this very change may still wait to be written.
    pub(super) fn make_readable(&mut self, ptr: &Ptr) -> Result<()> {
        if self.emitter.is_queued(ptr.page) {
            self.emitter.flush(self.arena, self.sink)?;
        }
        Ok(())
    }

    /// The bytes of a page that can be read, without opening it.
    pub(super) fn bytes(&self, ptr: &Ptr) -> Result<&[u8]> {
        match ptr.page.as_private() {
            Some(page) => self.arena.get(page).ok_or_else(not_ours),
            None => self.source.page(ptr),
        }
    }

    /// The bytes of two pages, without opening them.
    pub(super) fn bytes_of_both(&mut self, a: &Ptr, b: &Ptr) -> Result<(&[u8], &[u8])> {
        self.make_readable(a)?;
        self.make_readable(b)?;
        Ok((self.bytes(a)?, self.bytes(b)?))
    }
}

/// The page of the file behind `ptr`, as it is given back.
fn page_of(ptr: &Ptr) -> Extent {
    debug_assert!(!ptr.page.is_private(), "a private page has no place in the file");
    Extent {
        run: Run::new(ptr.page.number(), 1),
        birth: ptr.birth,
    }
}

/// A pointer that only memory can hold was found in a file.
#[cold]
fn not_ours() -> Error {
    Error::corrupt(None, "private page number in a file")
}
