//! Named snapshots in the model: what the calls about them must answer, and what going back makes of a state.

use super::{prefix_end, within, Map, Named, Origin, Snapshots, State};
use crate::common::api::{status, Flags, KeyRange, Recorded, Span};
use kv::TableId;
use std::ops::Bound;
use std::rc::Rc;

fn check_name(name: &[u8]) -> Result<(), i32> {
    match name {
        [] | [0, ..] => Err(status::INVALID),
        _ if name.len() > 512 => Err(status::TOO_BIG),
        _ => Ok(()),
    }
}

impl Named {
    pub fn may_yield(&self) -> bool {
        self.flags.yields && !self.flags.keep
    }

    pub fn become_mark(&mut self) {
        self.flags = Flags {
            mark: true,
            ..Flags::default()
        };
    }
}

impl Snapshots {
    pub fn find(&self, name: &[u8]) -> Result<&Named, i32> {
        check_name(name)?;
        self.named.get(name).ok_or(status::NOTFOUND)
    }

    pub fn find_mut(&mut self, name: &[u8]) -> Result<&mut Named, i32> {
        self.named.get_mut(name).ok_or(status::NOTFOUND)
    }

    /// Records one. What it shows becomes known with the commit.
    pub fn create(&mut self, name: &[u8], flags: Flags) -> Result<(), i32> {
        check_name(name)?;
        if flags.mark && (flags.keep || flags.yields) {
            return Err(status::INVALID);
        }
        match self.named.get(name) {
            Some(_) if !flags.replace => return Err(status::EXISTS),
            Some(_) => drop(self.remove(name)?),
            None => {}
        }
        let named = Named {
            origin: None,
            state: Rc::default(),
            flags: Flags {
                replace: false,
                ..flags
            },
        };
        self.named.insert(name.to_vec(), named);
        Ok(())
    }

    pub fn remove(&mut self, name: &[u8]) -> Result<Named, i32> {
        match self.find_mut(name)?.flags.keep {
            true => Err(status::INVALID),
            false => Ok(self.named.remove(name).expect("it was found")),
        }
    }

    pub fn rename(&mut self, name: &[u8], to: &[u8]) -> Result<(), i32> {
        check_name(to)?;
        self.find_mut(name)?;
        if name != to {
            if self.named.contains_key(to) {
                self.remove(to)?;
            }
            let named = self.named.remove(name).expect("it was found");
            self.named.insert(to.to_vec(), named);
        }
        Ok(())
    }

    pub fn release(&mut self, name: &[u8]) -> Result<(), i32> {
        let named = self.find_mut(name)?;
        if named.flags.keep {
            return Err(status::INVALID);
        }
        named.become_mark();
        Ok(())
    }

    pub fn keep(&mut self, name: &[u8], keep: bool) -> Result<(), i32> {
        let named = self.find_mut(name)?;
        if named.flags.mark {
            return Err(status::INVALID);
        }
        named.flags.keep = keep;
        Ok(())
    }

    /// Those of earlier commits that can be read, by their commits.
    pub fn kept(&self) -> impl Iterator<Item = (&Vec<u8>, Origin, &Named)> {
        let all = self.named.iter().filter(|(_, named)| !named.flags.mark);
        all.filter_map(|(name, named)| Some((name, named.origin?, named)))
    }

    /// The snapshot is recorded, and shows this. What the library tells of its commit is the same for all that have it,
    /// marks too.
    pub fn complete(&mut self, name: &[u8], told: &Recorded, state: Rc<State>) {
        let origin = Origin {
            commit: told.commit,
            time: told.time,
            guid: told.guid,
        };
        for other in self.named.values().filter_map(|named| named.origin) {
            assert!(other.commit != origin.commit || other == origin, "{other:?}, {told:?}");
        }
        let named = self.named.get_mut(name).expect("a snapshot");
        (named.origin, named.state) = (Some(origin), state);
    }
}

impl State {
    /// What a snapshot of this shows.
    pub fn seen(&self) -> State {
        State {
            snapshots: None,
            ..self.clone()
        }
    }

    /// The list that is part of the newest state.
    pub fn list(&self) -> &Snapshots {
        self.snapshots.as_ref().expect("the state of no snapshot")
    }

    pub fn list_mut(&mut self) -> &mut Snapshots {
        self.snapshots.as_mut().expect("the state of no snapshot")
    }

    /// Entries of a table that there may be; the names of tables are one, too.
    pub fn entries(&self, table: TableId) -> Rc<Map> {
        if table == TableId::NAMES {
            let names = self.names.iter();
            let entries = names.map(|(name, table)| (name[..].into(), table.get().to_le_bytes()[..].into()));
            return Rc::new(entries.collect());
        }
        self.data.get(&table).cloned().unwrap_or_default()
    }

    /// Goes back to what another state has, with one table or with all, and says how many keys that changes.
    pub fn revert(&mut self, seen: &State, table: Option<TableId>) -> Result<u64, i32> {
        let tables: Vec<TableId> = match table {
            Some(TableId::NAMES | TableId::SNAPSHOTS) => return Err(status::READ_ONLY),
            Some(table) => vec![table],
            None => self.data.keys().chain(seen.data.keys()).copied().collect(),
        };
        let name = |state: &State, table| {
            let mut names = state.names.iter();
            names
                .find(|(_, number)| **number == table)
                .map(|(name, _)| name.clone())
        };
        if let Some(table) = table {
            if !self.data.contains_key(&table) && !seen.data.contains_key(&table) {
                return Err(status::NO_TABLE);
            }
            let owner = name(seen, table).and_then(|name| self.names.get(&name));
            if owner.is_some_and(|owner| *owner != table) {
                return Err(status::EXISTS);
            }
        }
        // All names are lost before any is given.
        for table in &tables {
            self.names.retain(|_, number| number != table);
        }
        let mut changed = 0;
        for table in tables {
            let (is, was) = (self.entries(table), seen.entries(table));
            if !Rc::ptr_eq(&is, &was) {
                changed += differing((&is, &was), &Span::all()).count() as u64;
            }
            self.data.remove(&table);
            self.notes.remove(&table);
            self.data.extend(seen.data.get(&table).map(|map| (table, map.clone())));
            self.notes
                .extend(seen.notes.get(&table).map(|note| (table, note.clone())));
            self.names.extend(name(seen, table).map(|name| (name, table)));
        }
        Ok(changed)
    }
}

/// The first key of a span, and the first one behind it.
pub fn limits(span: &Span) -> KeyRange {
    let next = |key: &Vec<u8>| [key, &[0][..]].concat();
    let low = match &span.from {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => key.clone(),
        Bound::Excluded(key) => next(key),
    };
    let high = match &span.to {
        Bound::Unbounded => None,
        Bound::Included(key) => Some(next(key)),
        Bound::Excluded(key) => Some(key.clone()),
    };
    let end = span.prefix.as_deref().and_then(prefix_end);
    let high = [high, end].into_iter().flatten().min();
    (low.max(span.prefix.clone().unwrap_or_default()), high)
}

/// The keys of a span whose values differ.
pub fn differing<'a>((was, is): (&'a Map, &'a Map), span: &'a Span) -> impl Iterator<Item = &'a [u8]> {
    let gone = within(was, span).filter(|(key, value)| is.get(*key) != Some(*value));
    let new = within(is, span).filter(|(key, _)| !was.contains_key(*key));
    gone.chain(new).map(|(key, _)| key.as_ref())
}
