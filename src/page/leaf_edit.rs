//! Changing a private leaf in place: cheaper than a rebuild for a few edits, with the same result.

use super::header::{self, DENSE, LEAF};
use super::layout::leaf::{ARRAYS, FINGERPRINTS, HEADS, OFFSETS};
use super::layout::record::{LENGTHS, REST};
use super::layout::{close_gap, open_gap, DenseShape, HEAD_BYTES};
use super::leaf::{Leaf, Stored};
use super::leaf_build::{write_dense_suffix, write_dense_value, write_record};
use super::suffix::{Rest, Suffix};
use crate::ids::PageRef;

/// Inserts an entry at `pos` and returns true if the page has room for it, maybe after its garbage was removed. Returns
/// false and leaves the entries as they are if not. `suffix` is relative to the page's own prefix and has no lead. A
/// dense leaf takes only entries of its shape.
pub fn insert(page: &mut [u8], pos: usize, suffix: &Suffix<'_>, fingerprint: u8, value: &Stored<'_>) -> bool {
    match header::kind(page) {
        LEAF => {}
        DENSE => return insert_dense(page, pos, suffix, value),
        _ => return false,
    }
    let n = header::count(page);
    let bytes = LENGTHS + suffix.remainder.len() + value.bytes().len();
    let room = page.len() - header::prefix_len(page);
    let (heap, garbage) = (header::heap(page), header::garbage(page));
    let need = OFFSETS.at(n + 1, n + 1) + bytes;
    if need + heap.saturating_sub(garbage) > room {
        return false;
    }
    // What a damaged page says of its garbage may be wrong, so the room is compared again.
    if need + heap > room && (!compact(page) || need + header::heap(page) > room) {
        return false;
    }
    let at = room - header::heap(page) - bytes;
    open_gap(page, &ARRAYS, n, pos);
    HEADS.set(page, n + 1, pos, suffix.head);
    FINGERPRINTS.set(page, n + 1, pos, fingerprint);
    OFFSETS.set(page, n + 1, pos, at as u16);
    write_record(page, at, suffix, value);
    header::set_count(page, n + 1);
    let heap = header::heap(page) + bytes;
    header::set_heap(page, heap);
    true
}

fn insert_dense(page: &mut [u8], pos: usize, suffix: &Suffix<'_>, value: &Stored<'_>) -> bool {
    let Ok(leaf) = Leaf::new(page, PageRef::UNKNOWN) else {
        return false;
    };
    let (n, shape) = (leaf.len(), leaf.shape());
    let room = page.len() - header::prefix_len(page);
    if suffix.long
        || suffix.len != shape.suffix
        || value.is_chain()
        || value.bytes().len() != shape.value
        || shape.end(n + 1) > room
    {
        return false;
    }
    open_gap(page, &shape.arrays(), n, pos);
    let mut b = [0u8; DenseShape::SUFFIX_MAX];
    b[..HEAD_BYTES].copy_from_slice(&suffix.head.to_be_bytes());
    b[HEAD_BYTES..HEAD_BYTES + suffix.remainder.len()].copy_from_slice(suffix.remainder);
    write_dense_suffix(page, shape, pos, &b[..shape.suffix]);
    write_dense_value(page, shape, n + 1, pos, value.bytes());
    header::set_count(page, n + 1);
    true
}

/// Removes entry `pos`.
pub fn remove(page: &mut [u8], pos: usize) {
    let Ok(leaf) = Leaf::of(page, PageRef::UNKNOWN) else {
        return;
    };
    let n = leaf.len();
    debug_assert!(pos < n, "an entry of the page");
    if leaf.is_dense() {
        let arrays = leaf.shape().arrays();
        close_gap(page, &arrays, n, pos);
        header::set_count(page, n - 1);
        return;
    }
    let size = leaf.record(pos).map_or(0, |record| record.size());
    remove_record(page, n, pos, size);
    if n == 1 {
        header::set_heap(page, 0);
        header::set_garbage(page, 0);
    }
}

/// Removes entry `pos` of a leaf that has others, and returns how many bytes the leaf used before. Returns `None` and
/// changes nothing if there is no such entry or no other, or if its value lies outside the page.
#[inline]
pub fn remove_one_of_many(page: &mut [u8], pos: usize) -> Option<usize> {
    let leaf = Leaf::of(page, PageRef::UNKNOWN).ok()?;
    let (n, used) = (leaf.len(), leaf.used());
    if n < 2 || pos >= n {
        return None;
    }
    if leaf.is_dense() {
        remove(page, pos);
        return Some(used);
    }
    let record = leaf.record(pos).ok()?;
    if record.value().is_chain() {
        return None;
    }
    let size = record.size();
    remove_record(page, n, pos, size);
    Some(used)
}

/// Removes entry `pos` of the `n` entries of a slotted leaf. Its record stays as garbage until the room is needed.
#[inline(always)]
fn remove_record(page: &mut [u8], n: usize, pos: usize, size: usize) {
    close_gap(page, &ARRAYS, n, pos);
    header::set_count(page, n - 1);
    let garbage = header::garbage(page) + size;
    header::set_garbage(page, garbage);
}

/// Overwrites value `pos` with one of the same kind and length and returns true. Returns false and changes nothing if
/// they differ.
pub fn overwrite(page: &mut [u8], pos: usize, value: &Stored<'_>) -> bool {
    let Some(at) = Leaf::of(page, PageRef::UNKNOWN).ok().and_then(|leaf| {
        let old = leaf.value(pos).ok()?;
        let same = old.is_chain() == value.is_chain() && old.bytes().len() == value.bytes().len();
        same.then(|| value_at(&leaf, pos))?
    }) else {
        return false;
    };
    page[at..at + value.bytes().len()].copy_from_slice(value.bytes());
    true
}

/// Says where the rest of the long key of entry `pos` is, and returns true. Returns false and changes nothing if there
/// is no such key.
pub fn replace_rest(page: &mut [u8], pos: usize, rest: &Rest) -> bool {
    let Some(at) = Leaf::of(page, PageRef::UNKNOWN).ok().and_then(|leaf| {
        let is_long = !leaf.is_dense() && pos < leaf.len() && leaf.slotted_suffix(pos).ok()?.long;
        is_long.then(|| leaf.record(pos).ok()?.value_at().checked_sub(REST))?
    }) else {
        return false;
    };
    page[at..at + REST].copy_from_slice(&rest.encode());
    true
}

/// Returns where value `pos` begins.
fn value_at(leaf: &Leaf<'_>, pos: usize) -> Option<usize> {
    if leaf.is_dense() {
        return Some(leaf.shape().value_at(leaf.len(), pos));
    }
    Some(leaf.record(pos).ok()?.value_at())
}

/// Moves the records together, so that no garbage is left, and returns true. Returns false and changes nothing if the
/// page is damaged and has no record where it says.
fn compact(page: &mut [u8]) -> bool {
    let n = header::count(page);
    let end = page.len() - header::prefix_len(page);
    let old = page.to_vec();
    let Ok(leaf) = Leaf::new(&old, PageRef::UNKNOWN) else {
        return false;
    };
    let mut records = Vec::with_capacity(n);
    let mut bytes = 0;
    for i in 0..n {
        let Ok(record) = leaf.record(i) else {
            return false;
        };
        bytes += record.size();
        records.push((record.at, record.size()));
    }
    if OFFSETS.at(n, n) + bytes > end {
        return false;
    }
    let mut at = end - bytes;
    for (i, (from, size)) in records.into_iter().enumerate() {
        page[at..at + size].copy_from_slice(&old[from..from + size]);
        OFFSETS.set(page, n, i, at as u16);
        at += size;
    }
    header::set_heap(page, bytes);
    header::set_garbage(page, 0);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TableId;
    use crate::page::leaf_build::{build_leaf, entries_of, Entry};
    use crate::page::suffix::NewPrefix;

    /// Random inserts, removals and overwrites against a sorted vector; both kinds of leaf.
    #[test]
    fn edits_match_a_vector() {
        for dense in [false, true] {
            let mut x = 1u64;
            let mut rnd = move |n: u64| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x % n
            };
            let mut model: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let mut page = vec![0u8; 4096];
            if dense {
                let entry = |k: &'static [u8]| Entry {
                    suffix: Suffix::of(k),
                    fingerprint: k[0],
                    value: Stored::Inline(b"12345678"),
                };
                build_leaf(
                    &mut page,
                    TableId::MAIN,
                    NewPrefix::of(b"p", 1),
                    &[entry(b"\x00aaa"), entry(b"\xFFbbb")],
                );
                model.push((b"\x00aaa".to_vec(), b"12345678".to_vec()));
                model.push((b"\xFFbbb".to_vec(), b"12345678".to_vec()));
            } else {
                header::begin(&mut page, header::LEAF, 1, TableId::MAIN, b"p");
            }
            for _ in 0..20000 {
                let len = if dense { 4 } else { rnd(12) as usize };
                let key: Vec<u8> = (0..len).map(|_| rnd(5) as u8).collect();
                let vlen = if dense { 8 } else { rnd(60) as usize };
                let value = vec![rnd(256) as u8; vlen];
                let stored = Stored::Inline(&value);
                match model.binary_search_by(|e| e.0.cmp(&key)) {
                    Ok(i) if rnd(2) == 0 => {
                        remove(&mut page, i);
                        model.remove(i);
                    }
                    Ok(i) => {
                        if overwrite(&mut page, i, &stored) {
                            model[i].1 = value;
                        } else {
                            assert_ne!(model[i].1.len(), value.len());
                        }
                    }
                    Err(i) => {
                        if insert(
                            &mut page,
                            i,
                            &Suffix::of(&key),
                            key.first().copied().unwrap_or(9),
                            &stored,
                        ) {
                            model.insert(i, (key, value));
                        } else {
                            let used = Leaf::new(&page, PageRef::UNKNOWN).unwrap().used();
                            assert!(used + 7 + 4 + key.len() + value.len() > 4096);
                        }
                    }
                }
                let leaf = Leaf::new(&page, PageRef::UNKNOWN).unwrap();
                assert_eq!(leaf.len(), model.len());
                let bytes = crate::page::leaf_build::dense_bytes(&leaf);
                let mut got = Vec::new();
                entries_of(&leaf, 0..leaf.len(), &bytes, &[], &mut got).unwrap();
                for (e, (k, v)) in got.iter().zip(&model) {
                    let mut key = Vec::new();
                    e.suffix.write_to(&mut key);
                    assert_eq!((&key, e.value.bytes()), (k, v.as_slice()));
                }
            }
        }
    }
}
