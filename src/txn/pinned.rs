//! Bytes that were returned to the caller and must stay where they are. They are kept in a list that only grows, so
//! that threads may share it, until all of it is released at once.

use crate::error::{Error, Result};
use crate::page::chain::Chain;
use crate::page::leaf::Stored;
use crate::page::{PageSource, PIECE};
use std::sync::OnceLock;

/// Bytes that live until this value is dropped or [`PinnedBytes::clear`] is called. Most are values that lie in several
/// extents and were put together.
#[derive(Default)]
pub struct PinnedBytes {
    head: OnceLock<Box<Node>>,
}

struct Node {
    bytes: Box<[u8]>,
    next: OnceLock<Box<Node>>,
}

impl PinnedBytes {
    /// Releases all bytes.
    #[inline(always)]
    pub fn clear(&mut self) {
        if self.head.get().is_some() {
            self.clear_all();
        }
    }

    #[cold]
    fn clear_all(&mut self) {
        // The nodes are freed one by one, because dropping a long list recursively could overflow the stack.
        let mut next = self.head.take();
        while let Some(mut node) = next {
            next = node.next.take();
        }
    }

    /// Returns whether `bytes` are, or lie in, bytes that are kept here.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let (first, mut next) = (bytes.as_ptr().addr(), self.head.get());
        while let Some(node) = next {
            let from = node.bytes.as_ptr().addr();
            if (from..from + node.bytes.len()).contains(&first) {
                return true;
            }
            next = node.next.get();
        }
        false
    }

    /// Returns whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// Takes the bytes and returns where they lie from now on.
    pub fn pin(&self, bytes: Box<[u8]>) -> &[u8] {
        let mut node = Box::new(Node {
            bytes,
            next: OnceLock::new(),
        });
        let mut end = &self.head;
        loop {
            match end.set(node) {
                Ok(()) => return end.get().map_or(&[], |n| &n.bytes),
                Err(back) => node = back,
            }
            // Another thread has set this end first, so the node goes behind the one that it put in.
            if let Some(taken) = end.get() {
                end = &taken.next;
            }
        }
    }

    /// Returns the bytes of a stored value. They are returned where they lie, unless they lie in several extents and
    /// must be put together.
    #[inline(always)]
    pub fn resolve<'a, S: PageSource<'a>>(&'a self, stored: Stored<'a>, source: &S) -> Result<&'a [u8]> {
        match stored {
            Stored::Inline(b) => Ok(b),
            Stored::Chain(d) => self.resolve_chain(d, source),
        }
    }

    fn resolve_chain<'a, S: PageSource<'a>>(&'a self, description: &[u8], source: &S) -> Result<&'a [u8]> {
        let chain = Chain::decode(description, source.page_size()).map_err(|d| d.at(None))?;
        if let Some(bytes) = chain.in_place(source)? {
            return Ok(bytes);
        }
        Error::if_memory_is_short("a long value in several extents")?;
        let mut bytes = Vec::new();
        let len = usize::try_from(chain.len).map_err(|_| Error::NoMemory("a long value"))?;
        // Nobody has verified the extents yet. They must lie in the file before memory is taken for them, so that a
        // hostile length does not make us allocate.
        for e in &chain.extents {
            source.raw(e.run.first, e.run.pages * source.page_size() as u64)?;
        }
        bytes
            .try_reserve_exact(len)
            .map_err(|_| Error::NoMemory("a long value in several extents"))?;
        for i in 0..chain.len.div_ceil(PIECE) {
            bytes.extend_from_slice(chain.piece(i, source)?);
        }
        Ok(self.pin(bytes.into_boxed_slice()))
    }
}

impl Drop for PinnedBytes {
    fn drop(&mut self) {
        self.clear();
    }
}
