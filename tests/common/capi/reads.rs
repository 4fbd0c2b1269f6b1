//! What the functions of `kv.h` read in a transaction: entries, ranges, cursors, batches, figures of tables.

use super::super::abi::*;
use super::super::api::{status, Change, Entry, Flags, Move, Outcome, Reads, Snapshot, Span};
use super::{answer, at, found, range, CTxn};
use kv::{CommitId, Seek, TableId};
use std::any::Any;
use std::mem::size_of;
use std::ptr::null_mut;

/// A batch with room, and the memory behind it.
struct Room {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Room {
    fn batch(&mut self, limit: usize) -> kv_batch {
        kv_batch {
            struct_size: size_of::<kv_batch>() as u32,
            flags: 0,
            bytes: self.bytes.as_mut_ptr().cast(),
            bytes_size: self.bytes.len(),
            ends: self.ends.as_mut_ptr(),
            ends_size: self.ends.len(),
            kinds: null_mut(),
            limit,
            count: 0,
            used: 0,
            needed: 0,
            at_end: 0,
            skip: 0,
        }
    }

    fn string(&self, i: usize) -> Vec<u8> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        self.bytes[start..self.ends[i] as usize].to_vec()
    }

    fn entries(&self, batch: &kv_batch) -> Vec<Entry> {
        let string = |i| self.string(i);
        (0..batch.count).map(|i| (string(2 * i), string(2 * i + 1))).collect()
    }
}

impl CTxn {
    /// Up to `limit` entries packed: by kv_scan, or from a cursor on.
    fn packed(&self, table: TableId, span: &Span, cursor: Option<Handle>, limit: usize) -> Outcome<Vec<Entry>> {
        let mut room = Room {
            bytes: vec![0; 256],
            ends: vec![0; 2 * limit],
        };
        let mut out = Vec::new();
        loop {
            let mut batch = room.batch(limit - out.len());
            let filled = match cursor {
                Some(cursor) => call!(kv_cursor_fill(cursor, &mut batch)),
                None => call!(kv_scan(self.txn, table.get(), &range(span), &mut batch)),
            };
            match filled {
                Ok(()) => {}
                Err(fail) if fail.status == -7 => {
                    assert!(batch.needed > room.bytes.len(), "TOO_SMALL though the entry fits");
                    room.bytes.resize(batch.needed, 0);
                    continue;
                }
                // A batch that begins at the end is empty, or the end is said as such.
                Err(fail) if fail.status == status::NOTFOUND => return Ok(out),
                Err(fail) => return Err(fail),
            }
            let entries = room.entries(&batch);
            assert!(entries.len() <= limit - out.len(), "more entries than asked for");
            if cursor.is_some() {
                out.extend(entries);
            } else {
                out = entries;
            }
            if batch.at_end == 1 || out.len() == limit {
                return Ok(out);
            }
            if cursor.is_none() {
                let more = room.bytes.len() * 4;
                room.bytes.resize(more, 0);
                out.clear();
            } else {
                assert!(
                    batch.count > 0,
                    "a batch without an entry, without an end, without an error"
                );
            }
        }
    }
}

impl Reads for CTxn {
    fn id(&mut self) -> Outcome<CommitId> {
        let mut id = 0;
        call!(kv_txn_id(self.txn, &mut id))?;
        Ok(CommitId::new(id))
    }
    fn table(&mut self, name: &[u8]) -> Outcome<TableId> {
        let mut table = u64::MAX;
        call!(kv_table_open(self.txn, at(name), name.len(), &mut table))?;
        Ok(TableId::new(table))
    }
    fn get(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut value = kv_slice::NONE;
        Ok(
            found(call!(kv_get(self.txn, table.get(), at(key), key.len(), &mut value)))?.map(|()| {
                let value = value.copy();
                value.expect("the data of a found value is never NULL")
            }),
        )
    }
    fn contains(&mut self, table: TableId, key: &[u8]) -> Outcome<bool> {
        Ok(found(call!(kv_get(self.txn, table.get(), at(key), key.len(), null_mut())))?.is_some())
    }
    fn get_many(&mut self, table: TableId, keys: &[&[u8]]) -> Outcome<Vec<Option<Vec<u8>>>> {
        let keys: Vec<kv_slice> = keys.iter().map(|key| kv_slice::of(key)).collect();
        let mut values = vec![kv_slice::NONE; keys.len()];
        let mut count = 0;
        call!(kv_get_many(
            self.txn,
            table.get(),
            keys.as_ptr(),
            keys.len(),
            values.as_mut_ptr(),
            &mut count
        ))?;
        let values: Vec<_> = values.iter().map(kv_slice::copy).collect();
        assert_eq!(count, values.iter().flatten().count(), "kv_get_many counts wrongly");
        Ok(values)
    }
    fn value_len(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<u64>> {
        let mut info = kv_value_stat {
            struct_size: size_of::<kv_value_stat>() as u32,
            ..kv_value_stat::default()
        };
        let asked = call!(kv_stat_value(self.txn, table.get(), at(key), key.len(), &mut info));
        Ok(found(asked)?.map(|()| info.len))
    }
    fn read_value(&mut self, table: TableId, key: &[u8], offset: u64, len: usize) -> Outcome<Option<Vec<u8>>> {
        let mut out = vec![0xee; len];
        let mut got = usize::MAX;
        let read = call!(kv_value_read(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            offset,
            out.as_mut_ptr().cast(),
            len,
            &mut got
        ));
        Ok(found(read)?.map(|()| {
            out.truncate(got);
            out
        }))
    }
    fn count(&mut self, table: TableId, span: &Span) -> Outcome<u64> {
        let mut count = u64::MAX;
        call!(kv_count(self.txn, table.get(), &range(span), &mut count))?;
        Ok(count)
    }
    fn rank(&mut self, table: TableId, key: &[u8]) -> Outcome<u64> {
        let mut rank = u64::MAX;
        call!(kv_rank(self.txn, table.get(), at(key), key.len(), &mut rank))?;
        Ok(rank)
    }
    fn note(&mut self, table: TableId) -> Outcome<Vec<u8>> {
        let mut note = kv_slice::NONE;
        call!(kv_table_note(self.txn, table.get(), &mut note))?;
        Ok(note.copy().unwrap_or_default())
    }
    fn entries(&mut self, table: TableId) -> Outcome<u64> {
        let mut stat = kv_table_stat {
            struct_size: size_of::<kv_table_stat>() as u32,
            ..kv_table_stat::default()
        };
        call!(kv_stat_table(self.txn, table.get(), 0, &mut stat))?;
        Ok(stat.entries)
    }
    fn scan(&mut self, table: TableId, span: &Span, limit: usize) -> Outcome<Vec<Entry>> {
        self.scans += 1;
        if limit == 0 {
            return Ok(Vec::new());
        }
        if self.scans % 3 == 0 {
            return self.packed(table, span, None, limit);
        }
        let mut cursor = null_mut();
        call!(kv_cursor_open(self.txn, table.get(), &range(span), &mut cursor))?;
        let out = if self.scans % 3 == 1 {
            self.packed(table, span, Some(cursor), limit)
        } else {
            let absent = kv_entry {
                key: kv_slice::NONE,
                value: kv_slice::NONE,
            };
            let mut entries = vec![absent; limit];
            let mut got = 0;
            let asked = call!(kv_cursor_next_many(cursor, entries.as_mut_ptr(), limit, &mut got));
            found(asked).map(|_| {
                let copy = |slice: &kv_slice| slice.copy().expect("entries have no NULL data");
                let entries = entries[..got].iter();
                entries.map(|entry| (copy(&entry.key), copy(&entry.value))).collect()
            })
        };
        // SAFETY: the cursor opened above.
        unsafe { (library().kv_cursor_close)(cursor) };
        out
    }
    fn cursor_open(&mut self, table: TableId, span: &Span) -> Outcome<usize> {
        let mut cursor = null_mut();
        call!(kv_cursor_open(self.txn, table.get(), &range(span), &mut cursor))?;
        self.cursors.push(Some(cursor));
        Ok(self.cursors.len() - 1)
    }
    fn cursor_close(&mut self, cursor: usize) {
        let handle = self.cursors[cursor].take().expect("the test closes a cursor twice");
        // SAFETY: a cursor of this transaction.
        unsafe { (library().kv_cursor_close)(handle) };
    }
    fn cursor_move(&mut self, cursor: usize, how: &Move) -> Outcome<Option<Entry>> {
        let cursor = self.cursor(cursor);
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        let (k, v): (*mut kv_slice, *mut kv_slice) = (&mut key, &mut value);
        let moved = match how {
            Move::First => call!(kv_cursor_first(cursor, k, v)),
            Move::Last => call!(kv_cursor_last(cursor, k, v)),
            Move::Next => call!(kv_cursor_next(cursor, k, v)),
            Move::Prev => call!(kv_cursor_prev(cursor, k, v)),
            Move::Get => call!(kv_cursor_get(cursor, k, v)),
            Move::Seek(key, how) => {
                let how = match how {
                    Seek::Eq => KV_SEEK_EQ,
                    Seek::Ge => KV_SEEK_GE,
                    Seek::Gt => KV_SEEK_GT,
                    Seek::Le => KV_SEEK_LE,
                    Seek::Lt => KV_SEEK_LT,
                };
                call!(kv_cursor_seek(cursor, at(key), key.len(), how, k, v))
            }
            Move::Nth(n) => call!(kv_cursor_nth(cursor, *n, k, v)),
            Move::Percentile(percent) => call!(kv_cursor_percentile(cursor, *percent, k, v)),
        };
        Ok(found(moved)?.map(|()| {
            let entry = key.copy().zip(value.copy());
            entry.expect("key and value of an entry are never NULL")
        }))
    }
    fn cursor_count(&mut self, cursor: usize) -> Outcome<u64> {
        let mut count = u64::MAX;
        call!(kv_cursor_count(self.cursor(cursor), &mut count))?;
        Ok(count)
    }
    fn cursor_rank(&mut self, cursor: usize) -> Outcome<u64> {
        let mut rank = u64::MAX;
        call!(kv_cursor_rank(self.cursor(cursor), &mut rank))?;
        Ok(rank)
    }
}

impl CTxn {
    pub(super) fn before(before: &mut dyn Snapshot) -> Handle {
        before.as_any().downcast_ref::<CTxn>().expect("of this door").txn
    }

    /// The next change by itself, or nothing.
    fn next_change(diff: Handle) -> Outcome<Option<Change>> {
        let mut change = kv_change {
            struct_size: size_of::<kv_change>() as u32,
            kind: 0,
            key: kv_slice::NONE,
            before: kv_slice::NONE,
            after: kv_slice::NONE,
        };
        let next = found(call!(kv_diff_next(diff, &mut change)))?;
        Ok(next.map(|()| {
            let (before, after) = (change.before.copy(), change.after.copy());
            let kind = match (&before, &after) {
                (None, _) => 1,
                (_, None) => 2,
                _ => 3,
            };
            assert_eq!(change.kind, kind);
            (change.key.copy().expect("a key is never NULL"), before, after)
        }))
    }

    /// As many changes as the room holds, which grows until one does.
    fn packed_changes(diff: Handle, room: &mut Room) -> Outcome<Vec<Change>> {
        loop {
            let mut kinds = vec![0u8; room.ends.len()];
            let mut batch = room.batch(0);
            batch.kinds = kinds.as_mut_ptr();
            match call!(kv_diff_fill(diff, &mut batch)) {
                Ok(()) => {}
                Err(fail) if fail.status == -7 => {
                    assert!(batch.needed > room.bytes.len(), "TOO_SMALL though the change fits");
                    room.bytes.resize(batch.needed, 0);
                    continue;
                }
                Err(fail) if fail.status == status::NOTFOUND => return Ok(Vec::new()),
                Err(fail) => return Err(fail),
            }
            let value = |i: usize| (kinds[i] != 0).then(|| room.string(i));
            let changes = (0..batch.count).map(|i| (room.string(3 * i), value(3 * i + 1), value(3 * i + 2)));
            return Ok(changes.collect());
        }
    }
}

impl Snapshot for CTxn {
    fn refresh(&mut self) -> Outcome<()> {
        call!(kv_txn_refresh(self.txn))
    }
    fn snapshot_create(&mut self, name: &[u8], flags: Flags, note: &[u8]) -> Outcome<()> {
        self.record(name, flags, note)
    }
    fn changes_since(&mut self, before: &mut dyn Snapshot, table: TableId, span: &Span) -> Outcome<Vec<Change>> {
        let mut diff = null_mut();
        let before = CTxn::before(before);
        call!(kv_diff_open(before, self.txn, table.get(), &range(span), &mut diff))?;
        let mut room = Room {
            bytes: vec![0; 256],
            ends: vec![0; 90],
        };
        let mut changes = Vec::new();
        loop {
            self.scans += 1;
            let next: Vec<Change> = match self.scans % 3 {
                0 => CTxn::next_change(diff)?.into_iter().collect(),
                _ => CTxn::packed_changes(diff, &mut room)?,
            };
            if next.is_empty() {
                break;
            }
            changes.extend(next);
        }
        // SAFETY: the difference opened above.
        unsafe { (library().kv_diff_close)(diff) };
        Ok(changes)
    }
    fn count_changes_since(&mut self, before: &mut dyn Snapshot, table: TableId, span: &Span) -> Outcome<[u64; 3]> {
        let mut counts = kv_diff_counts {
            struct_size: size_of::<kv_diff_counts>() as u32,
            ..kv_diff_counts::default()
        };
        let before = CTxn::before(before);
        call!(kv_diff_count(before, self.txn, table.get(), &range(span), &mut counts))?;
        Ok([counts.added, counts.removed, counts.changed])
    }
    fn is_same_as(&mut self, before: &mut dyn Snapshot, table: Option<TableId>) -> Outcome<bool> {
        let mut same = -1;
        let table = table.map_or(u64::MAX, TableId::get);
        call!(kv_same(CTxn::before(before), self.txn, table, &mut same))?;
        Ok(same == 1)
    }
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
