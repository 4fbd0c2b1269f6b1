//! Walking a damaged tree: what a pointer leads to and its checksum confirms is saved, what not is told and stepped
//! over.

use super::pages::{entry, Scope};
use super::{Gap, Saver};
use crate::error::{Error, Result};
use crate::ids::{PageNo, TableId};
use crate::page::branch::Branch;
use crate::page::chain::{pieces, Chain};
use crate::page::header;
use crate::page::leaf::{Leaf, Stored};
use crate::page::meta::HEIGHT_MAX;
use crate::page::{PageSource, Ptr, Root};

/// Is given every entry found: (key, value, page).
pub(super) type OnEntry<'f, 'd> = &'f mut dyn FnMut(&mut Saver<'d, '_, '_>, &[u8], Stored<'_>, PageNo) -> Result<()>;

/// Keys from the first on and below the second.
type Bounds<'b> = (&'b [u8], Option<&'b [u8]>);

impl<'d> Saver<'d, '_, '_> {
    /// Walks a tree. What cannot be reached becomes a gap.
    ///
    /// # Errors
    /// Those of the target and `Cancelled`, never those of the source.
    pub(super) fn walk(&mut self, table: TableId, root: &Root, save: OnEntry<'_, 'd>) -> Result<()> {
        match root.height {
            0 => Ok(()),
            1..=HEIGHT_MAX => self.below(table, &root.ptr, root.height, (&[], None), save),
            _ => self.lose(table, &root.ptr, (&[], None), "its tree is too high"),
        }
    }

    /// A subtree cannot be read.
    fn lose(&mut self, table: TableId, ptr: &Ptr, (low, high): Bounds<'_>, why: &str) -> Result<()> {
        self.report.lost_subtrees += 1;
        self.report.lost_entries = self.report.lost_entries.saturating_add(ptr.entries);
        self.gaps.push(Gap {
            table,
            low: low.to_vec(),
            high: high.map(<[u8]>::to_vec),
        });
        let what = format!(
            "{why}: {} entries are lost here, keys from {} {}",
            ptr.entries,
            show(low),
            high.map_or("on".into(), |high| format!("to below {}", show(high)))
        );
        self.fault(ptr.page, table, what)
    }

    fn below(&mut self, table: TableId, ptr: &Ptr, level: u8, bounds: Bounds<'_>, save: OnEntry<'_, 'd>) -> Result<()> {
        self.job.advance(1)?;
        let damaged = self.damaged;
        let scope = Scope::new(damaged);
        let page = match (&scope).page(ptr) {
            Ok(page) => page,
            Err(error) => {
                self.report.damaged_pages += 1;
                self.bad.insert(ptr.page.number());
                return self.lose(table, ptr, bounds, &words(&error));
            }
        };
        if header::level(page) != level || header::table(page) != table {
            return self.lose(table, ptr, bounds, "another page than the tree wants");
        }
        if !self.seen.insert(ptr.page.number()) {
            return self.lose(table, ptr, bounds, "a page reached twice");
        }
        if level > 1 {
            return match Branch::new(page) {
                Ok(branch) => self.children(table, ptr, &branch, level, bounds, save, &scope),
                Err(damage) => self.lose(table, ptr, bounds, damage.0),
            };
        }
        match Leaf::new(page) {
            Ok(leaf) => self.leaf(table, ptr, &leaf, bounds, save, &scope),
            Err(damage) => self.lose(table, ptr, bounds, damage.0),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn children(
        &mut self,
        table: TableId,
        ptr: &Ptr,
        branch: &Branch<'_>,
        level: u8,
        (low, high): Bounds<'_>,
        save: OnEntry<'_, 'd>,
        scope: &Scope<'d>,
    ) -> Result<()> {
        // A separator that cannot be read leaves its neighbours with the bounds of the page: gaps too wide, not too
        // narrow.
        let separators: Vec<Option<Vec<u8>>> = (0..branch.len())
            .map(|i| {
                let mut separator = Vec::new();
                let written = branch.write_separator(i, ptr.page, &scope, &mut separator);
                written.is_ok().then_some(separator)
            })
            .collect();
        for i in 0..branch.len() {
            let from = match &separators[i] {
                Some(separator) if i > 0 => separator.as_slice().max(low),
                _ => low,
            };
            let to = separators.get(i + 1).and_then(|s| s.as_deref()).or(high);
            self.below(table, &branch.ptr(i), level - 1, (from, to), &mut *save)?;
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        table: TableId,
        ptr: &Ptr,
        leaf: &Leaf<'_>,
        (low, high): Bounds<'_>,
        save: OnEntry<'_, 'd>,
        scope: &Scope<'d>,
    ) -> Result<()> {
        let page = ptr.page.number();
        for i in 0..leaf.len() {
            match entry(leaf, i, page, scope) {
                Ok((key, _)) if key.as_slice() < low || high.is_some_and(|high| key.as_slice() >= high) => {
                    self.lose_entry(page, table, "an entry outside its page's bounds")?;
                }
                Ok((key, value)) => save(self, &key, value, page)?,
                Err(error) => self.lose_entry(page, table, &format!("a long key: {}", words(&error)))?,
            }
        }
        Ok(())
    }

    /// Puts an entry into the target unless one of its key is there; whether it came in.
    ///
    /// # Errors
    /// Those of the target and `Cancelled`.
    pub(super) fn put(&mut self, table: TableId, key: &[u8], value: Stored<'_>, page: PageNo) -> Result<bool> {
        use crate::db::{PutMode, Reader};
        if key.len() > crate::page::KEY_MAX || self.txn.contains(table, key)? {
            return Ok(false);
        }
        let description = match value {
            Stored::Inline(bytes) => {
                self.txn.put(table, key, bytes, PutMode::Set)?;
                return Ok(true);
            }
            Stored::Chain(description) => description,
        };
        let chain = match Chain::decode(description, self.damaged.page_size) {
            Ok(chain) => chain,
            Err(damage) => {
                self.lose_entry(page, table, damage.0)?;
                return Ok(false);
            }
        };
        // However often damage names the same extents, no more is copied than the file holds.
        self.long_bytes = self.long_bytes.saturating_add(chain.len);
        if self.long_bytes > 2 * self.damaged.raw.len() {
            self.lose_entry(page, table, "long values outgrow the file")?;
            return Ok(false);
        }
        let mut writer = self.txn.writer(table, key, chain.len, PutMode::Set)?;
        for i in 0..pieces(chain.len) {
            self.job.advance(0)?;
            let piece = Scope::new(self.damaged);
            let read = chain.piece(i, &&piece);
            match read {
                Ok(bytes) => writer.write(&mut self.txn, bytes)?,
                Err(error) => {
                    writer.cancel(&mut self.txn);
                    let what = format!("the long value of key {}: {}", show(key), words(&error));
                    self.lose_entry(page, table, &what)?;
                    return Ok(false);
                }
            }
        }
        writer.finish(&mut self.txn)?;
        Ok(true)
    }

    pub(super) fn lose_entry(&mut self, page: PageNo, table: TableId, what: &str) -> Result<()> {
        self.report.lost_entries = self.report.lost_entries.saturating_add(1);
        self.fault(page, table, what.to_string())
    }
}

/// The words of an error for a fault, which names page and table itself.
fn words(error: &Error) -> String {
    match error {
        Error::Corrupt(damage) => match damage.page {
            Some(page) => format!("page {page}: {}", damage.what),
            None => damage.what.to_string(),
        },
        other => other.to_string(),
    }
}

/// A key for people, shortened.
fn show(key: &[u8]) -> String {
    let text: String = key
        .iter()
        .take(32)
        .flat_map(|b| std::ascii::escape_default(*b))
        .map(char::from)
        .collect();
    format!("'{text}'{}", if key.len() > 32 { "..." } else { "" })
}
