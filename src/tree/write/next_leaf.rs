//! A put behind every entry of a tree whose last leaf is full: the next leaf is begun, and the full one closed.
//!
//! A queue does this once for each leaf that it fills. `append` would do the same, but it is made for many entries, and
//! takes the leaf apart to list their whole keys. Here the suffixes of the full leaf stay what they are. It is written
//! anew, because only now that it has an upper fence it has a prefix, by which searches in it are faster.

use super::apply::{Apply, NewPage, Reply};
use super::arena::Arena;
use super::edits::Op;
use super::fences::{prefix_len, Fences};
use super::leaf_cut::room_for;
use super::node::Node;
use super::spot::KeyEdit;
use super::values::is_long_key;
use crate::error::{Error, Result};
use crate::page::header::{self, CHECK_PREFIX, HEADER};
use crate::page::leaf::Stored;
use crate::page::leaf_build::{dense_bytes, dense_shape, entries_of, leaf_size, Entry};
use crate::page::suffix::Suffix;
use crate::page::{leaf_edit, PageSink, PageSource};
use crate::util::bytes::common_prefix;
use crate::util::hash::fingerprint;

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Puts an entry that lies behind all others of the last leaf of a tree, and for which the leaf has no room: into a
    /// new leaf behind it, or into the same one if it can become dense with it. Returns what the leaf has become, or
    /// `None` if it is no plain leaf or the edit no plain put, and nothing has changed then.
    pub(super) fn put_behind_full(
        &mut self,
        node: &Node<'a>,
        edit: KeyEdit<'_>,
        fences: &Fences,
    ) -> Result<Option<Reply>> {
        let size = node.size();
        let Op::Put(value @ Stored::Inline(_)) = edit.op else {
            return Ok(None);
        };
        let (leaf, flags) = (node.leaf()?, header::flags(&node.bytes));
        // A dense leaf takes no entry of another shape although it has room. One with a prefix had an upper fence
        // before, and `apply` takes the prefix away.
        let full = leaf.used() > size / 4 * 3 && leaf.prefix().is_empty();
        let plain = full && flags & CHECK_PREFIX == 0 && !is_long_key(edit.key, size);
        let Some(last) = leaf.len().checked_sub(1).filter(|_| plain) else {
            return Ok(None);
        };
        let dense = dense_bytes(&leaf);
        let mut entries: Vec<Entry<'_>> = room_for(leaf.len() + 1)?;
        entries_of(&leaf, 0..leaf.len(), &dense, &[], &mut entries)?;
        if entries[last].suffix.long {
            return Ok(None);
        }
        entries.push(Entry {
            suffix: Suffix::of(edit.key),
            fingerprint: fingerprint(edit.key),
            value,
        });
        self.arena.prepare()?;
        if dense_shape(&entries, 0).is_some_and(|shape| shape.end(entries.len()) <= size) {
            let NewPage { ptr, underfull, .. } = self.build_new_page(&entries, 0, &[], Vec::new());
            return Ok(Some(Reply::One { ptr, underfull }));
        }
        entries.pop();

        let mut before = Vec::new();
        leaf.key(last, &self.source, &mut before)?;
        let separator = &edit.key[..edit.key.len().min(common_prefix(&before, edit.key) + 1)];
        let plen = prefix_len(&fences.low, separator);
        let prefix = &fences.low[..plen];
        // Keys in order between two that begin with the prefix begin with it, too.
        let mut first = Vec::new();
        leaf.key(0, &self.source, &mut first)?;
        if !first.starts_with(prefix) || !before.starts_with(prefix) {
            return Err(Error::corrupt(node.ptr.page, "a leaf's keys are not within its bounds"));
        }
        // Where keys are short, a prefix takes more than it saves.
        if leaf_size(&entries, plen, plen) > size {
            return Ok(None);
        }
        let separator = Error::or_copy(separator, "a separator")?;
        let closed = self.build_new_page(&entries, 0, prefix, Vec::new());
        let mut memory = self.arena.memory();
        header::begin(&mut memory, header::LEAF, 1, self.table, &[]);
        // The memory was another page's before: its bytes must not get into the file.
        memory[HEADER..].fill(0);
        if !leaf_edit::insert(&mut memory, 0, &Suffix::of(edit.key), fingerprint(edit.key), &value) {
            return Err(Error::corrupt(node.ptr.page, "an entry larger than a page"));
        }
        let begun = NewPage {
            separator,
            ptr: Arena::ptr(self.arena.insert(memory), 1),
            underfull: true,
        };
        Ok(Some(Reply::Many(vec![closed, begun])))
    }
}
