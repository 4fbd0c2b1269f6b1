//! The reference: what the database must answer, as plain maps. Snapshots are clones (maps are shared until written,
//! keys and values always), cursors follow the documented positions. Slow and obvious by intention.

use super::api::{status, Entry, Flags, Move, Span};
use kv::{CommitId, PutMode, Seek, TableId};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

mod snapshots;

pub use snapshots::{differing, limits};

/// Bytes that snapshots share.
pub type Shared = Rc<[u8]>;
/// Entries of one table.
pub type Map = BTreeMap<Shared, Shared>;

/// Everything one snapshot sees.
#[derive(Clone)]
pub struct State {
    /// Named tables.
    pub names: BTreeMap<Vec<u8>, TableId>,
    /// Entries per table, the main one included.
    pub data: BTreeMap<TableId, Rc<Map>>,
    /// Notes of named tables.
    pub notes: BTreeMap<TableId, Vec<u8>>,
    /// The named snapshots; `None` in what one of them shows.
    pub snapshots: Option<Snapshots>,
}

/// What the library has recorded of the commit of a snapshot. It stays the same as long as there is the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub commit: CommitId,
    pub time: u64,
    pub guid: [u8; 16],
}

/// A snapshot.
#[derive(Clone)]
pub struct Named {
    /// `None` before the commit of the transaction that records it of itself.
    pub origin: Option<Origin>,
    /// What it shows or, if it is a mark, would show.
    pub state: Rc<State>,
    pub flags: Flags,
}

/// All snapshots, and the policy by which some of them yield.
#[derive(Clone, Default)]
pub struct Snapshots {
    pub named: BTreeMap<Vec<u8>, Named>,
    /// The pages that they may keep; 0: there is no policy.
    pub yield_pages: u64,
}

impl Default for State {
    fn default() -> Self {
        State {
            names: BTreeMap::new(),
            data: BTreeMap::from([(TableId::MAIN, Rc::default())]),
            notes: BTreeMap::new(),
            snapshots: Some(Snapshots::default()),
        }
    }
}

/// The least key that is greater than every key beginning with `prefix`.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|b| *b != 0xff)?;
    let mut end = prefix[..=keep].to_vec();
    end[keep] += 1;
    Some(end)
}

fn key_of<'a>(bound: &'a Bound<&[u8]>) -> Option<&'a [u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// Entries of `map` between two bounds, which may contradict each other.
fn between<'a>(
    map: &'a Map,
    low: Bound<&[u8]>,
    high: Bound<&[u8]>,
) -> impl DoubleEndedIterator<Item = (&'a Shared, &'a Shared)> {
    let possible = match (key_of(&low), key_of(&high)) {
        (Some(a), Some(b)) if a == b => matches!(low, Bound::Included(_)) && matches!(high, Bound::Included(_)),
        (Some(a), Some(b)) => a < b,
        _ => true,
    };
    let found = possible.then(|| map.range::<[u8], _>((low, high)));
    found.into_iter().flatten()
}

/// Entries of a table within a span, ascending.
pub fn within<'a>(map: &'a Map, span: &Span) -> impl DoubleEndedIterator<Item = (&'a Shared, &'a Shared)> {
    let mut low = span.from.as_ref().map(Vec::as_slice);
    let mut high = span.to.as_ref().map(Vec::as_slice);
    let end = span.prefix.as_deref().and_then(prefix_end);
    if let Some(prefix) = span.prefix.as_deref() {
        if key_of(&low).is_none_or(|key| key < prefix) {
            low = Bound::Included(prefix);
        }
        if let Some(end) = end.as_deref() {
            if key_of(&high).is_none_or(|key| key >= end) {
                high = Bound::Excluded(end);
            }
        }
    }
    between(map, low, high)
}

/// The first entry of a span in its direction.
pub fn first<'a>(map: &'a Map, span: &Span) -> Option<(&'a Shared, &'a Shared)> {
    let mut entries = within(map, span);
    if span.reverse {
        entries.next_back()
    } else {
        entries.next()
    }
}

impl State {
    /// Entries of a table.
    pub fn map(&self, table: TableId) -> &Map {
        self.data.get(&table).expect("the generator uses living tables only")
    }

    fn map_mut(&mut self, table: TableId) -> &mut Map {
        Rc::make_mut(
            self.data
                .get_mut(&table)
                .expect("the generator uses living tables only"),
        )
    }

    /// Entries of all tables.
    pub fn total(&self) -> u64 {
        self.data.values().map(|map| map.len() as u64).sum()
    }

    /// What a put in this mode answers; stores if it may.
    pub fn put(&mut self, table: TableId, key: &Shared, value: &Shared, mode: PutMode) -> Result<Option<Shared>, i32> {
        let map = self.map_mut(table);
        let present = map.contains_key(key);
        match mode {
            PutMode::NoOverwrite if present => return Err(status::EXISTS),
            PutMode::NoInsert if !present => return Err(status::NOTFOUND),
            PutMode::Append if map.last_key_value().is_some_and(|(last, _)| last >= key) => {
                return Err(status::ORDER);
            }
            _ => {}
        }
        Ok(map.insert(key.clone(), value.clone()))
    }

    /// Removes an entry.
    pub fn remove(&mut self, table: TableId, key: &[u8]) -> Option<Shared> {
        self.map_mut(table).remove(key)
    }

    /// Removes every entry of a span; how many.
    pub fn remove_range(&mut self, table: TableId, span: &Span) -> u64 {
        let keys: Vec<Shared> = within(self.map(table), span).map(|(key, _)| key.clone()).collect();
        let map = self.map_mut(table);
        for key in &keys {
            map.remove(key);
        }
        keys.len() as u64
    }

    /// Removes every entry.
    pub fn clear(&mut self, table: TableId) {
        self.data.insert(table, Rc::default());
    }

    /// Adds a table.
    pub fn create(&mut self, name: &[u8], table: TableId) {
        self.names.insert(name.to_vec(), table);
        self.data.insert(table, Rc::default());
    }

    /// Removes a table.
    pub fn drop_table(&mut self, table: TableId) {
        self.names.retain(|_, number| *number != table);
        self.data.remove(&table);
        self.notes.remove(&table);
    }

    /// Renames a table; answers the table that had the new name.
    pub fn rename(&mut self, table: TableId, name: &[u8]) -> Option<TableId> {
        let replaced = self.names.get(name).copied().filter(|number| *number != table);
        if let Some(old) = replaced {
            self.drop_table(old);
        }
        self.names.retain(|_, number| *number != table);
        self.names.insert(name.to_vec(), table);
        replaced
    }
}

/// Where a cursor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Before the first entry, never moved.
    Fresh,
    /// Before the first entry.
    Before,
    /// Behind the last entry.
    Behind,
    /// On this entry, if it still exists; else between its neighbours.
    On(Shared),
    /// Between the neighbours of this key.
    Gap(Shared),
    /// The documentation leaves open where: only absolute movements tell the same from here.
    Vague,
}

/// A cursor of the model.
#[derive(Debug, Clone)]
pub struct ModelCursor {
    /// Its table.
    pub table: TableId,
    /// Its range and direction.
    pub span: Span,
    /// Where it stands.
    pub place: Place,
}

impl ModelCursor {
    /// Before the first entry.
    pub fn new(table: TableId, span: Span) -> ModelCursor {
        ModelCursor {
            table,
            span,
            place: Place::Fresh,
        }
    }

    /// Whether relative movements have a documented answer.
    pub fn is_certain(&self) -> bool {
        self.place != Place::Vague
    }

    /// A key came into the cursor's table.
    pub fn inserted(&mut self, key: &[u8]) {
        let vague = match &self.place {
            Place::Fresh | Place::On(_) | Place::Vague => false,
            Place::Before | Place::Behind => true,
            Place::Gap(gap) => gap.as_ref() == key,
        };
        if vague {
            self.place = Place::Vague;
        }
    }

    /// The cursor's table is now another one altogether (a newer snapshot).
    pub fn replaced(&mut self, map: &Map) {
        let vague = match &self.place {
            Place::Fresh | Place::On(_) | Place::Vague => false,
            Place::Before | Place::Behind => true,
            Place::Gap(gap) => map.contains_key(gap),
        };
        if vague {
            self.place = Place::Vague;
        }
    }

    /// The entry the cursor stands on.
    pub fn current<'a>(&self, map: &'a Map) -> Option<(&'a Shared, &'a Shared)> {
        match &self.place {
            Place::On(key) => map.get_key_value(key),
            _ => None,
        }
    }

    /// Moves and answers the entry.
    pub fn step(&mut self, map: &Map, how: &Move) -> Option<Entry> {
        let reverse = self.span.reverse;
        // The neighbour of a key, in key order, within the range.
        let after = |key: &[u8]| within(map, &above(&self.span, key, false)).next();
        let before = |key: &[u8]| within(map, &below(&self.span, key, false)).next_back();
        let front = || first(map, &self.span);
        let back = || {
            let mut entries = within(map, &self.span);
            if reverse {
                entries.next()
            } else {
                entries.next_back()
            }
        };
        // Found entry, and the place if there is none.
        let (found, place) = match how {
            Move::First => (front(), Place::Behind),
            Move::Last => (back(), Place::Before),
            Move::Next => match &self.place {
                Place::Fresh | Place::Before => (front(), Place::Behind),
                Place::Behind => (None, Place::Behind),
                Place::On(key) | Place::Gap(key) => (if reverse { before(key) } else { after(key) }, Place::Behind),
                Place::Vague => panic!("the generator moves a cursor whose place is not documented"),
            },
            Move::Prev => match &self.place {
                Place::Fresh | Place::Before => (None, Place::Before),
                Place::Behind => (back(), Place::Before),
                Place::On(key) | Place::Gap(key) => (if reverse { after(key) } else { before(key) }, Place::Before),
                Place::Vague => panic!("the generator moves a cursor whose place is not documented"),
            },
            Move::Get => {
                let place = match &self.place {
                    Place::On(key) => Place::Gap(key.clone()),
                    other => other.clone(),
                };
                (self.current(map), place)
            }
            Move::Seek(key, how) => {
                let (low, high) = if reverse {
                    (Place::Behind, Place::Before)
                } else {
                    (Place::Before, Place::Behind)
                };
                match how {
                    Seek::Eq => {
                        let inside = within(map, &above(&self.span, key, true)).next();
                        let equal = inside.filter(|(found, _)| found.as_ref() == key.as_slice());
                        (equal, Place::Gap(key.as_slice().into()))
                    }
                    Seek::Ge => (within(map, &above(&self.span, key, true)).next(), high),
                    Seek::Gt => (after(key), high),
                    Seek::Le => (within(map, &below(&self.span, key, true)).next_back(), low),
                    Seek::Lt => (before(key), low),
                }
            }
            Move::Nth(n) => {
                let mut entries = within(map, &self.span);
                let n = usize::try_from(*n).unwrap_or(usize::MAX);
                let found = if reverse { entries.nth_back(n) } else { entries.nth(n) };
                (found, Place::Vague)
            }
            Move::Percentile(percent) => {
                let count = within(map, &self.span).count() as u64;
                let n = nearest_rank(*percent, count) as usize;
                let mut entries = within(map, &self.span);
                let found = if reverse { entries.nth_back(n) } else { entries.nth(n) };
                (found, Place::Vague)
            }
        };
        self.place = match found {
            Some((key, _)) => Place::On(key.clone()),
            None => place,
        };
        found.map(|(key, value)| (key.to_vec(), value.to_vec()))
    }
}

/// The part of a span above a key.
fn above(span: &Span, key: &[u8], inclusive: bool) -> Span {
    let keep = match &span.from {
        Bound::Unbounded => false,
        Bound::Included(from) => from.as_slice() > key,
        Bound::Excluded(from) => from.as_slice() >= key,
    };
    let mut out = span.clone();
    if !keep {
        out.from = if inclusive {
            Bound::Included(key.to_vec())
        } else {
            Bound::Excluded(key.to_vec())
        };
    }
    out
}

/// The part of a span below a key.
fn below(span: &Span, key: &[u8], inclusive: bool) -> Span {
    let keep = match &span.to {
        Bound::Unbounded => false,
        Bound::Included(to) => to.as_slice() < key,
        Bound::Excluded(to) => to.as_slice() <= key,
    };
    let mut out = span.clone();
    if !keep {
        out.to = if inclusive {
            Bound::Included(key.to_vec())
        } else {
            Bound::Excluded(key.to_vec())
        };
    }
    out
}

/// Index of a percentile by nearest rank among `count` entries.
fn nearest_rank(percent: f64, count: u64) -> u64 {
    let rank = (percent / 100.0 * count as f64).ceil() as u64;
    rank.clamp(1, count.max(1)) - 1
}
