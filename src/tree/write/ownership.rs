//! Who owns a page that is being changed: opening, making private, closing, giving back.
//!
//! *I-10*: a transaction edits only pages it took itself. So [`Apply::make_private`] copies a page of the file before
//! the first change, and gives the file's page back with the birth that its pointer carries; a page that is private
//! already changes in place.
//!
//! A private page leaves the arena while it is open. Each [`Node`] therefore ends in [`Apply::close`] or
//! [`Apply::discard`]; one that is merely dropped (an error does that) loses its page, and the transaction with it.

use super::apply::Apply;
use super::arena::Arena;
use super::node::{Node, NodeBytes};
use crate::error::{Error, Result};
use crate::ids::{Run, TableId};
use crate::page::header;
use crate::page::{Extent, PageSink, PageSource, Ptr};

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Opens the page behind `ptr`, which is to be of this level: levels fall by one on each step down, so a damaged
    /// tree whose pointers form a circle ends in an error.
    pub(super) fn open(&mut self, ptr: Ptr, level: u8) -> Result<Node<'a>> {
        self.arena.prepare()?;
        let bytes = match ptr.page.as_private() {
            // The arena gives the page itself, or a copy if its bytes may be pinned.
            Some(page) => NodeBytes::Private(self.arena.take(page).ok_or_else(not_ours)?),
            None => {
                self.make_readable(&ptr)?;
                NodeBytes::Shared(self.source.page(&ptr)?)
            }
        };
        if header::level(&bytes) != level {
            return Err(Error::corrupt(ptr.page, "page of another level"));
        }
        if !node_is_ours(&bytes) {
            return Err(Error::corrupt(
                ptr.page,
                "a page with fields of a feature that its file does not name",
            ));
        }
        Ok(Node { ptr, bytes })
    }

    /// Makes the page private if it is not, and gives the file's page back. Returns the bytes, to be changed.
    pub(super) fn make_private<'n>(&mut self, node: &'n mut Node<'a>) -> &'n mut [u8] {
        if let NodeBytes::Shared(bytes) = node.bytes {
            let mut copy = self.arena.memory();
            copy.copy_from_slice(bytes);
            self.sink.release(page_of(&node.ptr, self.table));
            node.bytes = NodeBytes::Private(copy);
        }
        match &mut node.bytes {
            NodeBytes::Private(bytes) => bytes,
            // It was made private above.
            NodeBytes::Shared(_) => &mut [],
        }
    }

    /// Ends work on a page and returns the pointer to it. A private page goes back into the arena, into any vacant
    /// slot.
    pub(super) fn close(&mut self, node: Node<'a>) -> Ptr {
        match node.bytes {
            NodeBytes::Shared(_) => node.ptr,
            NodeBytes::Private(bytes) => Arena::ptr(self.arena.insert(bytes), node.ptr.entries),
        }
    }

    /// Ends work on a page that is not needed any more.
    pub(super) fn discard(&mut self, node: Node<'a>) {
        match node.bytes {
            NodeBytes::Shared(_) => self.sink.release(page_of(&node.ptr, self.table)),
            // No bytes of it can be pinned, because `open` copied the page if they might have been.
            NodeBytes::Private(bytes) => self.arena.recycle(bytes),
        }
    }

    /// Gives a page back that was not opened.
    pub(super) fn release(&mut self, ptr: &Ptr) {
        match ptr.page.as_private() {
            Some(page) => self.arena.free(page),
            None => self.sink.release(page_of(ptr, self.table)),
        }
    }

    /// Makes sure that the page can be read, because a page that was placed during this change may still be queued.
    pub(super) fn make_readable(&mut self, ptr: &Ptr) -> Result<()> {
        if self.emitter.is_queued(ptr.page) {
            self.emitter.flush(self.arena, self.sink)?;
        }
        Ok(())
    }

    /// Returns the bytes of a page that can be read, without opening it.
    pub(super) fn bytes(&self, ptr: &Ptr) -> Result<&[u8]> {
        match ptr.page.as_private() {
            Some(page) => self.arena.get(page).ok_or_else(not_ours),
            None => self.source.page(ptr),
        }
    }

    /// Returns the bytes of two pages, without opening them.
    pub(super) fn bytes_of_both(&mut self, a: &Ptr, b: &Ptr) -> Result<(&[u8], &[u8])> {
        self.make_readable(a)?;
        self.make_readable(b)?;
        Ok((self.bytes(a)?, self.bytes(b)?))
    }
}

/// Returns the page of the file behind `ptr`, in the tree of `table`, as an extent to be given back.
fn page_of(ptr: &Ptr, table: TableId) -> Extent {
    debug_assert!(!ptr.page.is_private(), "a private page has no place in the file");
    Extent {
        own: table == TableId::SPACE || table == TableId::SNAPSHOTS,
        ..Extent::new(Run::new(ptr.page.number(), 1), ptr.birth)
    }
}

/// Returns whether this version knows everything that a page of the file says. Readers pass over the rest, which
/// belongs to features of writers; whoever changes such a page without knowing them makes it wrong.
fn node_is_ours(bytes: &NodeBytes<'_>) -> bool {
    match bytes {
        NodeBytes::Shared(page) => header::is_known(page),
        NodeBytes::Private(_) => true,
    }
}

/// Returns the error of a file in which a pointer to a private page was found.
#[cold]
pub(super) fn not_ours() -> Error {
    Error::corrupt(None, "private page number in a file")
}
