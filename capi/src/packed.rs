//! Chapter "batches", packed: one buffer of bytes and an array of ends, for bindings.
//!
//! A call from a script language costs a microsecond, and so does every pointer it has to build; a packed batch costs
//! one call for thousands of entries, and no pointer.

use crate::border::arg::{self, array, maybe, out, out_array, Buffer, Given, Out, OutArray};
use crate::border::error::{guard, guard_in_memory};
use crate::border::flags::{known, KV_BATCH_KEYS, KV_BATCH_VALUES, KV_BLIND};
use crate::border::status::{kv_status, Failure, Outcome};
use crate::border::types::{self, kv_cursor, kv_range, kv_table, kv_txn, put_mode};
use crate::handle::about::about;
use crate::handle::in_use::{self, CursorTxn, CursorUse, TxnUse};
use kv_engine::Error;
use kv_engine::PADDED;
use kv_engine::{Cursor, Reader, TableId};
use std::ffi::c_void;
use std::mem::size_of;

/// kv_batch.kinds: the key exists, and the string is what was asked for. @ingroup kv_batches
pub const KV_KIND_PRESENT: u8 = 1;
/// kv_batch.kinds: the key does not exist, and the string is empty. @ingroup kv_batches
pub const KV_KIND_ABSENT: u8 = 0;

/// Many strings in one buffer: string i lies from bytes[ends[i-1]] up to bytes[ends[i]], and string 0 begins at
/// bytes[0]. An entry is two strings, a key and its value, unless the function or a flag says otherwise. The
/// program allocates the arrays once and uses them again and again; start from KV_BATCH_INIT.
///
/// A function that fills a batch sets `count`, `used`, `needed` and `at_end`, also when it returns KV_NOTFOUND or
/// KV_TOO_SMALL. An input batch has no flags; its `count` entries are in `bytes` and `ends`, and the first `skip` of
/// them are passed over, so that a call that stopped half-way can be continued.
///
/// @ingroup kv_batches
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_batch {
    /// Exactly sizeof(kv_batch), set by KV_BATCH_INIT.
    pub struct_size: u32,
    /// KV_BATCH_... flags; 0 in an input batch.
    pub flags: u32,
    /// The strings, one after the other.
    pub bytes: *mut c_void,
    /// Bytes of room in `bytes`, of which at most 2^32 - 1 are used; an input batch must not have more.
    pub bytes_size: usize,
    /// Where each string ends, in bytes from the beginning of `bytes`.
    pub ends: *mut u32,
    /// Room in `ends`, in strings.
    pub ends_size: usize,
    /// KV_KIND_... of each string, with room for ends_size; used by kv_get_packed() and
    /// kv_diff_fill(). May be NULL.
    pub kinds: *mut u8,
    /// How many entries are wanted at most; 0 = as many as there is room for.
    pub limit: usize,
    /// How many entries are in the batch.
    pub count: usize,
    /// How many bytes are in the batch.
    pub used: usize,
    /// Result: bytes that the next entry needs if there was no room for it; otherwise 0.
    pub needed: usize,
    /// Result: 1 if the end was reached. 0 if there may be more: there was no more room, or `limit` entries were found.
    pub at_end: u32,
    /// Input: how many entries to pass over.
    pub skip: u32,
}

/// A batch being filled.
pub(crate) struct Packer {
    /// Where the filled batch goes, and what the caller set in it.
    batch: Out<kv_batch>,
    given: kv_batch,
    bytes: Buffer,
    ends: OutArray<u32>,
    kinds: Option<OutArray<u8>>,
    /// How many entries are wanted at most.
    pub(crate) limit: usize,
    strings: usize,
    used: usize,
    /// How many entries there are.
    pub(crate) count: usize,
    /// Whether keys are wanted.
    pub(crate) keys: bool,
    /// Whether values are wanted.
    pub(crate) values: bool,
}

impl Packer {
    /// Begins to fill a batch of the caller.
    ///
    /// # Safety
    /// `batch` is NULL or a batch whose buffers have the room it states.
    pub(crate) unsafe fn new(batch: *mut kv_batch) -> Outcome<Packer> {
        // SAFETY: passed on.
        let (given, batch) = unsafe { (read(batch)?, out(batch, "batch")?) };
        known(given.flags, KV_BATCH_KEYS | KV_BATCH_VALUES)?;
        let room = given.bytes_size.min(u32::MAX as usize);
        let limit = if given.limit == 0 { usize::MAX } else { given.limit };
        // SAFETY: buffers of the caller with the room that the batch states.
        let (bytes, ends) = unsafe {
            (
                arg::buffer(given.bytes, room)?,
                out_array(given.ends, given.ends_size, "batch: `ends`")?,
            )
        };
        let kinds = if given.kinds.is_null() {
            None
        } else {
            // SAFETY: as above.
            Some(unsafe { out_array(given.kinds, given.ends_size, "batch: `kinds`")? })
        };
        let only = given.flags & (KV_BATCH_KEYS | KV_BATCH_VALUES);
        if only == KV_BATCH_KEYS | KV_BATCH_VALUES {
            return Err(Failure::invalid(
                "batch: KV_BATCH_KEYS and KV_BATCH_VALUES exclude each other",
            ));
        }
        let (keys, values) = (only != KV_BATCH_VALUES, only != KV_BATCH_KEYS);
        Ok(Packer {
            batch,
            given,
            bytes,
            ends,
            kinds,
            limit,
            strings: 0,
            used: 0,
            count: 0,
            keys,
            values,
        })
    }

    /// Adds an entry of these strings, all of one kind, or nothing if there is no room for all of them.
    #[inline(never)]
    fn push(&mut self, strings: &[&[u8]], kind: u8) -> Result<(), usize> {
        self.push_each(strings, |_| kind)
    }

    /// Adds an entry of these strings, each of the kind that `kind` returns, or nothing if there is no room for all of
    /// them. The error is how many bytes they need.
    pub(crate) fn push_each(&mut self, strings: &[&[u8]], kind: impl Fn(usize) -> u8) -> Result<(), usize> {
        let bytes: usize = strings.iter().map(|s| s.len()).sum();
        if self.bytes.len - self.used < bytes || self.ends.len - self.strings < strings.len() {
            return Err(bytes);
        }
        for (number, string) in strings.iter().enumerate() {
            if !self.bytes.copy_in(self.used, string) {
                return Err(bytes);
            }
            self.used += string.len();
            self.ends.set(self.strings, self.used as u32);
            if let Some(kinds) = &mut self.kinds {
                kinds.set(self.strings, kind(number));
            }
            self.strings += 1;
        }
        self.count += 1;
        Ok(())
    }

    /// As [`Packer::push`] of both, without a loop: what a scan does most.
    #[inline(always)]
    fn push_pair(&mut self, key: &[u8], padded: Option<&[u8; PADDED]>, value: &[u8]) -> Result<(), usize> {
        let (middle, end) = (self.used + key.len(), self.used + key.len() + value.len());
        if end > self.bytes.len || self.ends.len - self.strings < 2 || self.kinds.is_some() {
            return self.push(&[key, value], KV_KIND_PRESENT);
        }
        // What lies behind a short key is overwritten by its value.
        let there = padded.is_some_and(|padded| self.bytes.put_block(self.used, padded));
        if !(there || self.bytes.copy_in(self.used, key)) || !self.bytes.copy_in(middle, value) {
            return Err(key.len() + value.len());
        }
        self.ends.set(self.strings, middle as u32);
        self.ends.set(self.strings + 1, end as u32);
        (self.used, self.strings, self.count) = (end, self.strings + 2, self.count + 1);
        Ok(())
    }

    /// Adds an entry, or its value alone if keys are not wanted.
    #[inline(always)]
    fn push_entry(&mut self, key: &[u8], padded: Option<&[u8; PADDED]>, value: &[u8]) -> Result<(), usize> {
        match self.keys {
            true => self.push_pair(key, padded, value),
            false => self.push(&[value], KV_KIND_PRESENT),
        }
    }

    /// Returns whether there are as many entries as are wanted.
    pub(crate) fn full(&self) -> bool {
        self.count >= self.limit
    }

    /// Writes what was filled. `needed`: the entry that found no room.
    pub(crate) fn finish(self, at_end: bool, needed: Option<usize>) -> Outcome {
        self.batch.set(kv_batch {
            count: self.count,
            used: self.used,
            needed: needed.unwrap_or(0),
            at_end: u32::from(at_end),
            ..self.given
        });
        match needed {
            Some(bytes) if self.count == 0 => Err(Failure::too_small(bytes, self.bytes.len)),
            None if self.count == 0 && at_end => Err(Failure::NOTFOUND),
            _ => Ok(()),
        }
    }
}

/// # Safety
/// `batch` is NULL or readable.
unsafe fn read(batch: *const kv_batch) -> Outcome<kv_batch> {
    // SAFETY: passed on.
    let batch = unsafe {
        arg::input(
            batch,
            "batch: it is NULL; give the address of one (start from KV_BATCH_INIT)",
        )?
    };
    if batch.struct_size as usize != size_of::<kv_batch>() {
        return Err(Failure::invalid(
            "batch: struct_size is not set (start from KV_BATCH_INIT)",
        ));
    }
    Ok(batch)
}

/// The strings of an input batch, `per_entry` of them for each entry that is not skipped.
///
/// # Safety
/// `batch` is NULL or a batch with `count * per_entry` ends, whose bytes are readable.
unsafe fn strings<'a>(batch: *const kv_batch, per_entry: usize) -> Outcome<Vec<&'a [u8]>> {
    // SAFETY: passed on.
    let batch = unsafe { read(batch)? };
    known(batch.flags, 0)?;
    Given::array("batch: `count`", size_of::<u32>()).check_len(batch.count)?;
    Given::array("batch: `ends`", size_of::<u32>()).check_len(batch.ends_size)?;
    let total = batch
        .count
        .checked_mul(per_entry)
        .filter(|total| *total <= batch.ends_size);
    let Some(total) = total else {
        return Err(Failure::invalid("batch: more entries than `ends` has room for"));
    };
    // SAFETY: bytes and ends are readable as far as the batch states.
    let (bytes, ends) = unsafe {
        (
            arg::bytes(batch.bytes, batch.bytes_size, Given::BATCH)?,
            array(batch.ends.cast_const(), total, "batch: `ends`")?,
        )
    };
    let skip = (batch.skip as usize).saturating_mul(per_entry).min(total);
    let mut start = if skip == 0 { 0 } else { ends[skip - 1] as usize };
    let mut found = Vec::new();
    let room = found.try_reserve_exact(total - skip);
    room.map_err(|_| Failure::Engine(Error::NoMemory("the strings of a batch")))?;
    for (at, end) in ends[skip..].iter().enumerate() {
        let string = bytes.get(start..*end as usize);
        let string = string.ok_or_else(|| Failure::invalid("batch: `ends` are not ascending, or beyond the bytes"))?;
        if at % per_entry == 0 {
            Given::KEY.check_len(string.len())?;
        }
        found.push(string);
        start = *end as usize;
    }
    Ok(found)
}

/// Fills a batch with the entries behind the cursor, which ends up on the last of them. Answers whether that is the
/// end, and the bytes of an entry that found no room.
fn fill<R: Reader + ?Sized>(
    cursor: &mut Cursor,
    txn: &mut R,
    packer: &mut Packer,
) -> Result<(bool, Option<usize>), Error> {
    let limit = u64::try_from(packer.limit).unwrap_or(u64::MAX);
    let mut needed = None;
    if packer.values {
        cursor.read_many(txn, limit, &mut |key, value| {
            needed = packer.push_entry(key, key.padded(), value).err();
            needed.is_none()
        })?;
    } else {
        cursor.next_many(txn, limit, &mut |key, _| {
            needed = packer.push(&[key], KV_KIND_PRESENT).err();
            needed.is_none()
        })?;
    }
    Ok((needed.is_none() && !packer.full(), needed))
}

/// Fills a batch with the entries ahead of the cursor, as many as there is room for. The cursor then stands on the last
/// of them, so that the next call continues there, or behind it if `at_end` is 1.
///
/// @param batch  Receives key, value, key, value ... (with KV_BATCH_KEYS or KV_BATCH_VALUES: one string for each
///               entry).
/// @return KV_OK; KV_NOTFOUND (no entry is left; `count` is 0 and `at_end` 1); KV_TOO_SMALL (there is no room for a
///         single entry: `needed` tells its bytes, and `ends` needs room for its strings); KV_INVALID (batch);
///         otherwise as kv_cursor_first().
/// @ingroup kv_batches
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_fill(cursor: *mut kv_cursor, batch: *mut kv_batch) -> kv_status {
    guard_in_memory(c"kv_cursor_fill", about(cursor), || {
        // SAFETY: a batch of the caller, as described above.
        let mut packer = unsafe { Packer::new(batch)? };
        let mut usage = CursorUse::of(cursor)?;
        let (handle, txn) = usage.parts()?;
        let (at_end, needed) = match txn {
            CursorTxn::Read(read) => fill(&mut handle.cursor, &mut &read.txn, &mut packer)?,
            CursorTxn::Write(mut write) => write.get()?.work(|txn| fill(&mut handle.cursor, txn, &mut packer))?,
        };
        packer.finish(at_end, needed)
    })
}

/// Fills a batch with the first entries of a range: kv_cursor_open(), kv_cursor_fill() and kv_cursor_close() in one
/// call. To continue, ask for the range KV_RANGE_AFTER the last key (with KV_RANGE_REVERSE: KV_RANGE_BEFORE).
///
/// @param range  NULL = the whole table.
/// @param batch  As for kv_cursor_fill().
/// @return As kv_cursor_fill() and kv_cursor_open().
/// @ingroup kv_batches
#[no_mangle]
pub unsafe extern "C" fn kv_scan(
    txn: *const kv_txn,
    table: kv_table,
    range: *const kv_range,
    batch: *mut kv_batch,
) -> kv_status {
    guard(c"kv_scan", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (range, mut packer) = unsafe { (types::range(range)?, Packer::new(batch)?) };
        let (at_end, needed) = TxnUse::of(txn)?.read(|txn| {
            let mut cursor = Cursor::new(txn, TableId::new(table), &range)?;
            fill(&mut cursor, txn, &mut packer)
        })?;
        packer.finish(at_end, needed)
    })
}

/// Copies the values of many keys, packed in and out.
///
/// @param keys    An input batch of keys (one string for each entry).
/// @param values  Receives one string for each key, in their order; it is empty if the key does not exist, and `kinds`,
///                if it is given, tells whether it does. If there is no room for all, `at_end` is 0 and `count` tells
///                how many keys were looked up: add it to keys->skip and call again.
/// @return KV_OK; KV_TOO_SMALL (there is no room for a single value); KV_INVALID (batches); KV_NO_SPACE, KV_LIMIT (in a
///         write transaction, as kv_count); otherwise as kv_get(); never KV_NOTFOUND.
/// @ingroup kv_batches
#[no_mangle]
pub unsafe extern "C" fn kv_get_packed(
    txn: *const kv_txn,
    table: kv_table,
    keys: *const kv_batch,
    values: *mut kv_batch,
) -> kv_status {
    /// Keys looked up together: enough to overlap their memory accesses, few enough for a small answer buffer.
    const TOGETHER: usize = 256;
    guard_in_memory(c"kv_get_packed", about(txn), || {
        // SAFETY: batches of the caller, as described above.
        let (keys, mut packer) = unsafe { (strings(keys, 1)?, Packer::new(values)?) };
        if keys.is_empty() {
            return match packer.finish(true, None) {
                Err(Failure::Plain(_)) => Ok(()),
                other => other,
            };
        }
        let mut usage = TxnUse::of(txn)?;
        let mut needed = None;
        for group in keys.chunks(TOGETHER) {
            needed = usage.read(|txn| {
                let mut answers = Vec::with_capacity(group.len());
                txn.get_many(TableId::new(table), group, &mut answers)?;
                for answer in answers {
                    let kind = if answer.is_some() {
                        KV_KIND_PRESENT
                    } else {
                        KV_KIND_ABSENT
                    };
                    if packer.full() {
                        break;
                    }
                    if let Err(bytes) = packer.push(&[answer.unwrap_or_default()], kind) {
                        return Ok(Some(bytes));
                    }
                }
                Ok(None)
            })?;
            if needed.is_some() || packer.full() {
                break;
            }
        }
        let all = packer.count == keys.len();
        packer.finish(all, needed)
    })
}

/// The output for how many were done, 0 at first.
///
/// # Safety
/// `done` is NULL or writable.
unsafe fn start(done: *mut usize) -> Option<Out<usize>> {
    // SAFETY: passed on.
    let done = unsafe { maybe(done) };
    if let Some(done) = &done {
        done.set(0);
    }
    done
}

/// Puts many entries, in their order. It stops at the first that does not return KV_OK; those before it stay done.
///
/// @param batch  An input batch of key, value, key, value ...
/// @param flags  As for kv_put().
/// @param done   Receives how many entries were put, without those skipped, also after a failure; may be NULL.
/// @return KV_OK; KV_INVALID (batch); what kv_put() returned for the entry that stopped it.
/// @ingroup kv_batches
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_put_packed(
    txn: *mut kv_txn,
    table: kv_table,
    batch: *const kv_batch,
    flags: u32,
    done: *mut usize,
) -> kv_status {
    guard_in_memory(c"kv_put_packed", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (done, strings) = unsafe { (start(done), strings(batch, 2)?) };
        let mode = put_mode(flags)?;
        let mut write = in_use::WriteUse::of(txn)?;
        write.get()?.batch(|write| {
            for (at, entry) in strings.chunks_exact(2).enumerate() {
                write.work(|txn| txn.put(TableId::new(table), entry[0], entry[1], mode))?;
                if let Some(done) = &done {
                    done.set(at + 1);
                }
            }
            Ok(())
        })
    })
}

/// Deletes many entries, in their order. It stops at the first that does not return KV_OK; those before it stay done.
///
/// @param batch  An input batch of keys (one string for each entry).
/// @param flags  As for kv_delete(). Without KV_BLIND, a key that does not exist stops it with KV_NOTFOUND.
/// @param done   Receives how many entries were deleted, without those skipped, also after a failure; may be NULL.
/// @return KV_OK; KV_INVALID (batch); what kv_delete() returned for the entry that stopped it.
/// @ingroup kv_batches
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_delete_packed(
    txn: *mut kv_txn,
    table: kv_table,
    batch: *const kv_batch,
    flags: u32,
    done: *mut usize,
) -> kv_status {
    guard_in_memory(c"kv_delete_packed", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (done, keys) = unsafe { (start(done), strings(batch, 1)?) };
        known(flags, KV_BLIND)?;
        let blind = flags & KV_BLIND != 0;
        let mut write = in_use::WriteUse::of(txn)?;
        write.get()?.batch(|write| {
            for (at, key) in keys.iter().enumerate() {
                let there = write.work(|txn| match blind {
                    true => txn.delete_blind(TableId::new(table), key).map(|()| true),
                    false => txn.delete(TableId::new(table), key),
                })?;
                if !there {
                    return Err(Failure::NOTFOUND);
                }
                if let Some(done) = &done {
                    done.set(at + 1);
                }
            }
            Ok(())
        })
    })
}
