//! The entries of a database, one after the other.

use crate::database::{Database, Record};
use crate::error::{Error, Result};
use crate::page::{node, Kind, Node, Page};
use crate::pages::{Pages, ReadPages};
use crate::tree::Tree;

/// A key and one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key as the file has it.
    pub key: Vec<u8>,
    /// The value as the file has it.
    pub value: Vec<u8>,
}

/// The entries of a database in LMDB's order; see [`crate::Environment::entries`].
pub struct Entries<'e> {
    pages: &'e Pages,
    cursor: Cursor,
    /// Entries that the record promises, without those of named databases.
    recorded: u64,
    found: u64,
    is_done: bool,
}

impl<'e> Entries<'e> {
    pub(crate) fn new(pages: &'e Pages, database: &Database) -> Entries<'e> {
        let cursor = Cursor::new(&database.record);
        Entries {
            pages,
            cursor,
            recorded: database.entries(),
            found: 0,
            is_done: false,
        }
    }

    fn step(&mut self) -> Result<Option<Entry>> {
        loop {
            match self.cursor.step(self.pages, true)? {
                Some(Found::Entry(entry)) => return Ok(Some(entry)),
                Some(Found::Named(..)) => {}
                None => break,
            }
        }
        self.pages.check_unchanged()?;
        if self.found != self.recorded {
            let path = self.pages.path.clone();
            return Err(Error::Count {
                path,
                recorded: self.recorded,
                found: self.found,
            });
        }
        Ok(None)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        if self.is_done {
            return None;
        }
        let step = self.step();
        self.is_done = !matches!(step, Ok(Some(_)));
        self.found += u64::from(!self.is_done);
        match step {
            // What looks like damage may come from pages that were reused.
            Err(error @ Error::Damaged { .. }) => Some(Err(self.pages.check_unchanged().err().unwrap_or(error))),
            other => other.transpose(),
        }
    }
}

impl std::iter::FusedIterator for Entries<'_> {}

/// What a node of a leaf stands for.
pub(crate) enum Found {
    Entry(Entry),
    /// A named database and its record, which was checked.
    Named(Vec<u8>, Record),
}

/// A position in the tree of a database.
pub(crate) struct Cursor {
    tree: Tree,
    /// The current leaf and the index of its next node.
    leaf: Option<(Page, usize)>,
    /// The values that are left of a key.
    values: Option<Values>,
    seen: ReadPages,
}

impl Cursor {
    /// A position in front of the first entry of a record that was checked.
    pub fn new(record: &Record) -> Cursor {
        Cursor {
            tree: Tree::new(record),
            leaf: None,
            values: None,
            seen: ReadPages::default(),
        }
    }

    /// Goes one entry on. If values are not wanted, those of overflow runs stay empty, and of several values of a key
    /// only the first is returned.
    pub fn step(&mut self, pages: &Pages, with_values: bool) -> Result<Option<Found>> {
        loop {
            if let Some(entry) = self.next_value(pages, with_values)? {
                return Ok(Some(Found::Entry(entry)));
            }
            while self.leaf.as_ref().is_none_or(|(leaf, next)| *next >= leaf.count) {
                match self.tree.next_leaf(pages, &mut self.seen)? {
                    Some(leaf) => self.leaf = Some((leaf, 0)),
                    None => return Ok(None),
                }
            }
            if let Some(found) = self.next_node(pages, with_values)? {
                return Ok(Some(found));
            }
        }
    }

    /// Goes to the next of several values of a key, if there are some that are not returned yet.
    fn next_value(&mut self, pages: &Pages, with_values: bool) -> Result<Option<Entry>> {
        let Some(values) = &mut self.values else {
            return Ok(None);
        };
        let value = values.step(pages, &mut self.seen)?;
        let entry = value.map(|value| Entry {
            key: values.key.clone(),
            value,
        });
        if entry.is_none() || !with_values {
            self.values = None;
        }
        Ok(entry)
    }

    /// Goes to the next node of the leaf, and returns what it stands for; `None` if that is several values, which come
    /// next.
    fn next_node(&mut self, pages: &Pages, with_values: bool) -> Result<Option<Found>> {
        let Some((leaf, next)) = &mut self.leaf else {
            return Ok(None);
        };
        let damaged = |what: String| pages.damaged(leaf.number, what);
        if leaf.kind != Kind::Leaf {
            return Err(damaged("it has items without values, in a tree of entries".to_string()));
        }
        let node = leaf.node(&pages.layout, *next).map_err(damaged)?;
        *next += 1;
        let key = node.key.to_vec();
        match node.flags & node::ALL {
            0 => {
                let value = node.value(node.size as usize).map_err(damaged)?.to_vec();
                Ok(Some(Found::Entry(Entry { key, value })))
            }
            node::OVERFLOW => {
                let reference = node.value(pages.layout.overflow_reference()).map_err(damaged)?;
                let page = pages.layout.word(reference, 0).unwrap_or(0);
                let value = match with_values {
                    true => pages.overflow(&mut self.seen, page, node.size)?,
                    false => Vec::new(),
                };
                Ok(Some(Found::Entry(Entry { key, value })))
            }
            node::TREE => Ok(Some(Found::Named(pages.layout.name(key), record(pages, leaf, &node)?))),
            node::VALUES => {
                let bytes = node.value(node.size as usize).map_err(damaged)?.to_vec();
                let page = Page::sub_page(&pages.layout, leaf.number, bytes).map_err(damaged)?;
                self.values = Some(Values::in_page(key, page));
                Ok(None)
            }
            flags if flags == node::VALUES | node::TREE => {
                self.values = Some(Values::in_tree(key, &record(pages, leaf, &node)?));
                Ok(None)
            }
            flags => Err(damaged(format!("a node has flags {flags:#x}"))),
        }
    }
}

/// The record of a tree that is the value of a node.
fn record(pages: &Pages, leaf: &Page, node: &Node) -> Result<Record> {
    let damaged = |what: String| pages.damaged(leaf.number, what);
    let bytes = pages.layout.record();
    if node.size as usize != bytes {
        return Err(damaged(format!(
            "the record of a tree has {} bytes instead of {bytes}",
            node.size
        )));
    }
    let bytes = node.value(bytes).map_err(damaged)?;
    let record = Record::at(&pages.layout, bytes, 0).ok_or_else(|| damaged("a record is short".to_string()))?;
    record.check(pages.meta.last_page).map_err(damaged)?;
    Ok(record)
}

/// Several values of a key.
struct Values {
    key: Vec<u8>,
    /// If they are not in a sub-page.
    tree: Option<Tree>,
    /// The sub-page or the current leaf of the tree, and the index of its next item.
    leaf: Option<(Page, usize)>,
    /// How many there should still be.
    left: u64,
}

impl Values {
    /// The values of a key that lie in a sub-page.
    fn in_page(key: Vec<u8>, page: Page) -> Values {
        Values {
            key,
            tree: None,
            left: page.count as u64,
            leaf: Some((page, 0)),
        }
    }

    /// The values of a key that have a tree of their own, whose record was checked.
    fn in_tree(key: Vec<u8>, record: &Record) -> Values {
        Values {
            key,
            tree: Some(Tree::new(record)),
            leaf: None,
            left: record.entries,
        }
    }

    fn step(&mut self, pages: &Pages, seen: &mut ReadPages) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some((leaf, next)) = self.leaf.as_mut().filter(|(leaf, next)| *next < leaf.count) {
                let damaged = |what: String| pages.damaged(leaf.number, what);
                let value = leaf.item(&pages.layout, *next).map_err(damaged)?.to_vec();
                *next += 1;
                let more = || damaged("the values of a key are more than its record says".to_string());
                self.left = self.left.checked_sub(1).ok_or_else(more)?;
                return Ok(Some(value));
            }
            let next = match &mut self.tree {
                Some(tree) => tree.next_leaf(pages, seen)?,
                None => None,
            };
            match next {
                Some(page) => self.leaf = Some((page, 0)),
                None if self.left == 0 => return Ok(None),
                None => {
                    let page = self.leaf.as_ref().map_or(0, |(leaf, _)| leaf.number);
                    let what = format!("{} values of a key are missing behind it", self.left);
                    return Err(pages.damaged(page, what));
                }
            }
        }
    }
}
