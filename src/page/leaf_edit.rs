//! Changing a private leaf in place: cheaper than a rebuild for a few edits, with the same result.

use super::header::{self, HEADER};
use super::leaf::{Leaf, Stored, RECORD, SLOT};
use super::leaf_build::{write_dense, write_record};
use super::suffix::{Suffix, REST};
use crate::util::bytes::{get_u16, put_u16};

/// Inserts an entry at `pos` if the page has room for it (after moving garbage together if that helps); false: the page
/// is as before. `suffix` is relative to the page's own prefix, without lead. A dense leaf takes only entries of its
/// shape.
pub fn insert(page: &mut [u8], pos: usize, suffix: &Suffix<'_>, fingerprint: u8, value: &Stored<'_>) -> bool {
    let Ok(leaf) = Leaf::new(page) else {
        return false;
    };
    let n = leaf.len();
    if leaf.is_dense() {
        return insert_dense(page, pos, suffix, value);
    }
    let bytes = RECORD + suffix.tail.len() + value.bytes().len();
    let room = page.len() - header::prefix_len(page);
    let (heap, garbage) = (header::heap(page), header::garbage(page));
    let need = HEADER + SLOT * (n + 1) + bytes;
    if need + heap.saturating_sub(garbage) > room {
        return false;
    }
    // What a damaged page says of its garbage need not be so.
    if need + heap > room && (!compact(page) || need + header::heap(page) > room) {
        return false;
    }
    let at = room - header::heap(page) - bytes;
    // The three arrays move apart from the last to the first: each grows by one element, so later ones shift further.
    let (heads, prints, offsets) = (HEADER, HEADER + 4 * n, HEADER + 5 * n);
    page.copy_within(offsets + 2 * pos..offsets + 2 * n, offsets + 5 + 2 * pos + 2);
    page.copy_within(offsets..offsets + 2 * pos, offsets + 5);
    page.copy_within(prints + pos..prints + n, prints + 4 + pos + 1);
    page.copy_within(prints..prints + pos, prints + 4);
    page.copy_within(heads + 4 * pos..heads + 4 * n, heads + 4 * (pos + 1));
    page[heads + 4 * pos..heads + 4 * pos + 4].copy_from_slice(&suffix.head.to_le_bytes());
    page[prints + 4 + pos] = fingerprint;
    put_u16(page, offsets + 5 + 2 * pos, at as u16);
    write_record(page, at, suffix, value);
    header::set_count(page, n + 1);
    let heap = header::heap(page) + bytes;
    header::set_heap(page, heap);
    true
}

fn insert_dense(page: &mut [u8], pos: usize, suffix: &Suffix<'_>, value: &Stored<'_>) -> bool {
    let Ok(leaf) = Leaf::new(page) else {
        return false;
    };
    let (n, (width, class, value_width)) = (leaf.len(), leaf.shape());
    let room = page.len() - header::prefix_len(page);
    if suffix.long
        || suffix.len != width
        || value.is_chain()
        || value.bytes().len() != value_width
        || HEADER + (class + value_width) * (n + 1) > room
    {
        return false;
    }
    let values = HEADER + class * n;
    page.copy_within(
        values + value_width * pos..values + value_width * n,
        values + class + value_width * (pos + 1),
    );
    page.copy_within(values..values + value_width * pos, values + class);
    page.copy_within(HEADER + class * pos..values, HEADER + class * (pos + 1));
    let mut b = [0u8; 8];
    b[..4].copy_from_slice(&suffix.head.to_be_bytes());
    b[4..4 + suffix.tail.len()].copy_from_slice(suffix.tail);
    write_dense(page, (class, value_width), n + 1, pos, &b[..width], value.bytes());
    header::set_count(page, n + 1);
    true
}

/// Removes entry `pos`.
pub fn remove(page: &mut [u8], pos: usize) {
    let Ok(leaf) = Leaf::new(page) else {
        return;
    };
    let n = leaf.len();
    debug_assert!(pos < n);
    if leaf.is_dense() {
        let (_, class, value) = leaf.shape();
        let values = HEADER + class * n;
        page.copy_within(HEADER + class * (pos + 1)..values + value * pos, HEADER + class * pos);
        page.copy_within(
            values + value * (pos + 1)..values + value * n,
            values - class + value * pos,
        );
        header::set_count(page, n - 1);
        return;
    }
    let size = record_size(page, n, pos);
    let (heads, prints, offsets) = (HEADER, HEADER + 4 * n, HEADER + 5 * n);
    page.copy_within(heads + 4 * (pos + 1)..prints + pos, heads + 4 * pos);
    page.copy_within(prints + pos + 1..offsets + 2 * pos, prints - 4 + pos);
    page.copy_within(offsets + 2 * (pos + 1)..offsets + 2 * n, offsets - 5 + 2 * pos);
    header::set_count(page, n - 1);
    if n == 1 {
        header::set_heap(page, 0);
        header::set_garbage(page, 0);
    } else {
        let garbage = header::garbage(page) + size;
        header::set_garbage(page, garbage);
    }
}

/// Overwrites value `pos` with one of the same kind and length; false: it differs, nothing changed.
pub fn overwrite(page: &mut [u8], pos: usize, value: &Stored<'_>) -> bool {
    let Some((at, len)) = Leaf::new(page).ok().and_then(|leaf| {
        let old = leaf.value(pos).ok()?;
        let same = old.is_chain() == value.is_chain() && old.bytes().len() == value.bytes().len();
        same.then(|| (value_at(page, &leaf, pos), old.bytes().len()))
    }) else {
        return false;
    };
    page[at..at + len].copy_from_slice(value.bytes());
    true
}

fn value_at(page: &[u8], leaf: &Leaf<'_>, pos: usize) -> usize {
    if leaf.is_dense() {
        let (_, class, value) = leaf.shape();
        return HEADER + class * leaf.len() + value * pos;
    }
    let at = get_u16(page, HEADER + 5 * leaf.len() + 2 * pos) as usize;
    at + RECORD + tail_size(page, at)
}

fn tail_size(page: &[u8], at: usize) -> usize {
    let key = get_u16(page, at);
    ((key & 0x7FFF) as usize).saturating_sub(4) + if key & 0x8000 != 0 { REST } else { 0 }
}

fn record_size(page: &[u8], n: usize, i: usize) -> usize {
    let at = get_u16(page, HEADER + 5 * n + 2 * i) as usize;
    RECORD + tail_size(page, at) + (get_u16(page, at + 2) & 0x7FFF) as usize
}

/// Moves the records together; false, and nothing changed, if a damaged page has none where it says.
fn compact(page: &mut [u8]) -> bool {
    let n = header::count(page);
    let end = page.len() - header::prefix_len(page);
    let old = page.to_vec();
    let Ok(leaf) = Leaf::new(&old) else {
        return false;
    };
    let mut records = Vec::with_capacity(n);
    let mut bytes = 0;
    for i in 0..n {
        let (Ok(_), Ok(_)) = (leaf.slotted_suffix(i), leaf.value(i)) else {
            return false;
        };
        let from = get_u16(&old, HEADER + 5 * n + 2 * i) as usize;
        let size = record_size(&old, n, i);
        bytes += size;
        records.push((from, size));
    }
    if HEADER + SLOT * n + bytes > end {
        return false;
    }
    let mut at = end - bytes;
    for (i, (from, size)) in records.into_iter().enumerate() {
        page[at..at + size].copy_from_slice(&old[from..from + size]);
        put_u16(page, HEADER + 5 * n + 2 * i, at as u16);
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
                    b"p",
                    &[entry(b"\x00aaa"), entry(b"\xFFbbb")],
                    0,
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
                            let used = Leaf::new(&page).unwrap().used();
                            assert!(used + 7 + 4 + key.len() + value.len() > 4096);
                        }
                    }
                }
                let leaf = Leaf::new(&page).unwrap();
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
