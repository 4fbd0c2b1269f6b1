//! Does a random operation to the library and to the model, and compares.

use super::api::{status, Entry, Reads, Span, Stream, Writes};
use super::compare::agree;
use super::gen::{Blob, Op, Read, CURSORS};
use super::model::{first, within, Map, ModelCursor, Place, Shared, State};
use kv::{PutMode, TableId};
use std::ops::Bound;

pub mod savepoints;
pub mod snapshots;

/// The cursors of one transaction: the model's, and how the door calls them.
#[derive(Default)]
pub struct Cursors {
    pub model: [Option<ModelCursor>; CURSORS],
    door: [usize; CURSORS],
}

impl Cursors {
    fn at(&mut self, slot: usize) -> (&mut ModelCursor, usize) {
        let cursor = self.model[slot].as_mut().expect("the generator uses open cursors");
        (cursor, self.door[slot])
    }

    fn inserted(&mut self, table: TableId, key: &[u8]) {
        for cursor in self.model.iter_mut().flatten().filter(|cursor| cursor.table == table) {
            cursor.inserted(key);
        }
    }

    /// The transaction moved to another state.
    pub fn refreshed<T: Reads + ?Sized>(&mut self, txn: &mut T, state: &State) {
        for (slot, door) in self.door.iter().enumerate() {
            if let Some(cursor) = &mut self.model[slot] {
                match state.data.get(&cursor.table) {
                    Some(map) => cursor.replaced(map),
                    None => {
                        txn.cursor_close(*door);
                        self.model[slot] = None;
                    }
                }
            }
        }
    }

    /// Closes all cursors.
    fn close_all(&mut self, txn: &mut dyn Writes) {
        for (slot, door) in self.door.iter().enumerate() {
            if self.model[slot].take().is_some() {
                txn.cursor_close(*door);
            }
        }
    }

    /// A table is gone: so are its cursors.
    fn dropped(&mut self, txn: &mut dyn Writes, table: TableId) {
        for slot in 0..CURSORS {
            if self.model[slot].as_ref().is_some_and(|cursor| cursor.table == table) {
                txn.cursor_close(self.door[slot]);
                self.model[slot] = None;
            }
        }
    }
}

fn owned((key, value): (&Shared, &Shared)) -> Entry {
    (key.to_vec(), value.to_vec())
}

/// A reading operation.
pub fn read<T: Reads + ?Sized>(txn: &mut T, state: &State, cursors: &mut Cursors, op: &Read) {
    let value = |table: TableId, key: &Blob| state.map(table).get(&key.0);
    match op {
        Read::Get(table, key) => {
            agree(
                "get",
                txn.get(*table, &key.0),
                Ok(value(*table, key).map(|v| v.to_vec())),
            );
        }
        Read::Contains(table, key) => {
            agree(
                "contains",
                txn.contains(*table, &key.0),
                Ok(value(*table, key).is_some()),
            );
        }
        Read::GetMany(table, keys) => {
            let slices: Vec<&[u8]> = keys.iter().map(|key| key.0.as_ref()).collect();
            let want = keys.iter().map(|key| value(*table, key).map(|v| v.to_vec())).collect();
            agree("get_many", txn.get_many(*table, &slices), Ok(want));
        }
        Read::ValueLen(table, key) => {
            let want = value(*table, key).map(|v| v.len() as u64);
            agree("value_len", txn.value_len(*table, &key.0), Ok(want));
        }
        Read::ValuePart(table, key, offset, len) => {
            let want = value(*table, key).map(|v| {
                let from = v.len().min(*offset as usize);
                v[from..v.len().min(from + len)].to_vec()
            });
            agree("read_value", txn.read_value(*table, &key.0, *offset, *len), Ok(want));
        }
        Read::Count(table, span) => {
            let want = within(state.map(*table), span).count() as u64;
            agree("count", txn.count(*table, span), Ok(want));
        }
        Read::Rank(table, key) => {
            let below = state
                .map(*table)
                .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key.0.as_ref())));
            agree("rank", txn.rank(*table, &key.0), Ok(below.count() as u64));
        }
        Read::Open(name) => {
            let want = state.names.get(name).copied().ok_or(status::NO_TABLE);
            agree("table", txn.table(name), want);
        }
        Read::Note(table) => {
            let want = state.notes.get(table).cloned().unwrap_or_default();
            agree("note", txn.note(*table), Ok(want));
        }
        Read::List => list(txn, state),
        Read::Scan(table, span, limit) => {
            let entries = within(state.map(*table), span);
            let want: Vec<Entry> = if span.reverse {
                entries.rev().take(*limit).map(owned).collect()
            } else {
                entries.take(*limit).map(owned).collect()
            };
            agree("scan", txn.scan(*table, span, *limit), Ok(want));
        }
        Read::CursorOpen(slot, table, span) => {
            let door = txn.cursor_open(*table, span);
            cursors.door[*slot] = door.unwrap_or_else(|fail| panic!("cursor_open: {fail:?}"));
            cursors.model[*slot] = Some(ModelCursor::new(*table, span.clone()));
        }
        Read::CursorClose(slot) => {
            txn.cursor_close(cursors.door[*slot]);
            cursors.model[*slot] = None;
        }
        Read::CursorMove(slot, how) => {
            let (cursor, door) = cursors.at(*slot);
            let before = cursor.place.clone();
            let want = cursor.step(state.map(cursor.table), how);
            let what = format!("cursor {slot} {:?} in {:?} from {before:?}", how, cursor.span);
            agree(&what, txn.cursor_move(door, how), Ok(want));
        }
        Read::CursorCount(slot) => {
            let (cursor, door) = cursors.at(*slot);
            let want = within(state.map(cursor.table), &cursor.span).count() as u64;
            agree("cursor count", txn.cursor_count(door), Ok(want));
        }
        Read::CursorRank(slot) => {
            let (cursor, door) = cursors.at(*slot);
            let map = state.map(cursor.table);
            let (key, _) = cursor.current(map).expect("the generator asks where an entry is");
            let entries = within(map, &cursor.span);
            let want = if cursor.span.reverse {
                entries.rev().take_while(|(other, _)| *other != key).count()
            } else {
                entries.take_while(|(other, _)| *other != key).count()
            };
            agree("cursor rank", txn.cursor_rank(door), Ok(want as u64));
        }
        Read::Snapshot(op) => snapshots::read(txn, state, op),
    }
}

fn list<T: Reads + ?Sized>(txn: &mut T, state: &State) {
    let want: Vec<Entry> = state
        .names
        .iter()
        .map(|(name, table)| (name.clone(), table.get().to_le_bytes().to_vec()))
        .collect();
    let limit = want.len() + 1;
    agree(
        "list of tables",
        txn.scan(TableId::NAMES, &Span::all(), limit),
        Ok(want),
    );
}

/// Everything a snapshot sees, entry by entry.
pub fn verify<T: Reads + ?Sized>(txn: &mut T, state: &State) {
    list(txn, state);
    snapshots::list(txn, state);
    for (table, map) in &state.data {
        let got = txn.scan(*table, &Span::all(), map.len() + 1);
        let got = got.unwrap_or_else(|fail| panic!("scan of table {table}: {fail:?}"));
        for (got, want) in got.iter().zip(map.iter()) {
            let same = got.0.as_slice() == want.0.as_ref() && got.1.as_slice() == want.1.as_ref();
            if !same {
                agree("an entry of a whole scan", Ok(got.clone()), Ok(owned(want)));
            }
        }
        assert_eq!(got.len(), map.len(), "entries of table {table}");
        agree("entries", txn.entries(*table), Ok(map.len() as u64));
        if let Some(note) = state.notes.get(table) {
            agree("note", txn.note(*table), Ok(note.clone()));
        }
    }
}

/// Any operation of a write transaction.
pub fn write(txn: &mut dyn Writes, state: &mut State, cursors: &mut Cursors, op: &Op) {
    match op {
        Op::Read(op) => read(txn, state, cursors, op),
        Op::Snapshot(op) => snapshots::write(txn, state, op),
        Op::Put(table, key, value, mode) => {
            let got = txn.put(*table, &key.0, &value.0, *mode);
            agree("put", got, store(state, cursors, *table, key, value, *mode).map(|_| ()));
        }
        Op::Insert(table, key, value) => {
            let existing = state.map(*table).get(&key.0).map(|v| v.to_vec());
            let got = txn.insert(*table, &key.0, &value.0);
            if existing.is_none() {
                let stored = store(state, cursors, *table, key, value, PutMode::Set);
                assert_eq!(stored, Ok(None));
            }
            agree("insert", got, Ok(existing));
        }
        Op::Replace(table, key, value, mode) => {
            let got = txn.replace(*table, &key.0, &value.0, *mode);
            let want = store(state, cursors, *table, key, value, *mode);
            agree("replace", got, want.map(|old| old.map(|v| v.to_vec())));
        }
        Op::Reserve(table, key, len, filled, byte, mode) => {
            let mut value = vec![0; *len];
            value[..*filled].fill(*byte);
            let got = txn.reserve(*table, &key.0, &value, *filled, *mode);
            let value = Blob(value.into());
            agree(
                "reserve",
                got,
                store(state, cursors, *table, key, &value, *mode).map(|_| ()),
            );
        }
        Op::Delete(table, key) => {
            let want = state.remove(*table, &key.0).is_some();
            agree("delete", txn.delete(*table, &key.0), Ok(want));
        }
        Op::DeleteBlind(table, key) => {
            state.remove(*table, &key.0);
            agree("delete_blind", txn.delete_blind(*table, &key.0), Ok(()));
        }
        Op::Take(table, key) => {
            let want = state.remove(*table, &key.0).map(|v| v.to_vec());
            agree("take", txn.take(*table, &key.0), Ok(want));
        }
        Op::TakeFirst(table, span) => {
            let want = first(state.map(*table), span).map(owned);
            if let Some((key, _)) = &want {
                state.remove(*table, key);
            }
            agree("take_first", txn.take_first(*table, span), Ok(want));
        }
        Op::DeleteRange(table, span) => {
            let want = state.remove_range(*table, span);
            agree("delete_range", txn.delete_range(*table, span), Ok(want));
        }
        Op::Clear(table) => {
            state.clear(*table);
            agree("clear", txn.table_clear(*table), Ok(()));
        }
        Op::Create(name, new) => create(txn, state, name, *new),
        Op::Rename(table, name) => {
            let replaced = state.names.get(name).copied().filter(|other| other != table);
            if let Some(replaced) = replaced {
                cursors.dropped(txn, replaced);
            }
            state.rename(*table, name);
            agree("rename", txn.table_rename(*table, name), Ok(()));
        }
        Op::Drop(table) => {
            cursors.dropped(txn, *table);
            state.drop_table(*table);
            agree("drop", txn.table_drop(*table), Ok(()));
            agree("get in a dropped table", txn.get(*table, b"x"), Err(status::NO_TABLE));
        }
        Op::SetNote(table, note) => {
            state.notes.insert(*table, note.clone());
            agree("set_note", txn.table_set_note(*table, note), Ok(()));
        }
        Op::Stream(table, key, parts, hint, between, finish) => {
            let slices: Vec<&[u8]> = parts.iter().map(|part| part.0.as_ref()).collect();
            let stream = Stream {
                parts: &slices,
                hint: *hint,
                between: between.as_ref().map(|(key, value)| (key.0.as_ref(), value.0.as_ref())),
                finish: *finish,
            };
            agree("stream", txn.stream(*table, &key.0, &stream), Ok(()));
            if let Some((key, value)) = between {
                assert!(store(state, cursors, *table, key, value, PutMode::Set).is_ok());
            }
            if *finish {
                let value = Blob(slices.concat().into());
                assert!(store(state, cursors, *table, key, &value, PutMode::Set).is_ok());
            }
        }
        Op::CursorPut(slot, value) => {
            let (cursor, door) = cursors.at(*slot);
            let (table, key) = (cursor.table, current(cursor, state.map(cursor.table)));
            let what = format!("cursor {slot} put at {:?}", cursor.place);
            if let Some(key) = &key {
                state.put(table, key, &value.0, PutMode::Set).expect("a plain put");
            }
            let want = key.map(|_| ()).ok_or(status::NOTFOUND);
            agree(&what, txn.cursor_put(door, &value.0), want);
        }
        Op::CursorDelete(slot) => {
            let (cursor, door) = cursors.at(*slot);
            let (table, key) = (cursor.table, current(cursor, state.map(cursor.table)));
            let what = format!("cursor {slot} delete at {:?}", cursor.place);
            if let Some(key) = &key {
                cursor.place = Place::Gap(key.clone());
                state.remove(table, key);
            }
            let want = key.map(|_| ()).ok_or(status::NOTFOUND);
            agree(&what, txn.cursor_delete(door), want);
        }
    }
}

fn current(cursor: &ModelCursor, map: &Map) -> Option<Shared> {
    cursor.current(map).map(|(key, _)| key.clone())
}

/// Puts into the model and tells the cursors of new keys.
fn store(
    state: &mut State,
    cursors: &mut Cursors,
    table: TableId,
    key: &Blob,
    value: &Blob,
    mode: PutMode,
) -> Result<Option<Shared>, i32> {
    let old = state.put(table, &key.0, &value.0, mode)?;
    if old.is_none() {
        cursors.inserted(table, &key.0);
    }
    Ok(old)
}

fn create(txn: &mut dyn Writes, state: &mut State, name: &[u8], new: bool) {
    let got = txn.table_create(name, new);
    match (state.names.get(name).copied(), new) {
        (Some(_), true) => agree("create a table that is there", got, Err(status::EXISTS)),
        (Some(table), false) => agree("create, that is open", got, Ok(table)),
        (None, _) => {
            let table = got.unwrap_or_else(|fail| panic!("create: {fail:?}"));
            let fresh = table > TableId::NAMES && table.get() < 1 << 53 && !state.data.contains_key(&table);
            assert!(fresh, "table number {table} is fixed, too large or in use");
            state.create(name, table);
        }
    }
}
