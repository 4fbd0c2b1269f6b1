//! Building a branch from children, and changing a private one in place.
//!
//! Where bytes lie in a branch is said in `branch.rs`.

use super::branch::Branch;
use super::header::{self, BRANCH, HEAD2, HEADER};
use super::layout::branch::{
    ARRAYS, ARRAYS_WITH_HEAD2, BIRTHS, CHECKSUMS, CHILD, CHILD_WITH_HEAD2, ENTRIES, HEADS, OFFSETS, PAGES,
    RUN_PREFIXES, SECOND_HEADS,
};
use super::layout::record::{self, separator::LENGTH, REST};
use super::layout::{close_gap, open_gap};
use super::search::{head, head_at};
use super::suffix::{NewPrefix, Rest, Suffix};
use super::Ptr;
use crate::error::Result;
use crate::ids::{PageRef, TableId, U48_MAX};
use crate::util::bytes::{common_prefix, get_u48, put_u16, put_u48};
use std::ops::Range;

/// The length from which on a run of equal heads makes a page HEAD2. Shorter runs cost less than the arrays.
const RUN_MIN: usize = 4;

/// A child on its way into a branch. The separator is relative to a prefix that all children of one build share.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    /// The separator behind the common prefix. That of the first child of a branch is not stored.
    pub separator: Suffix<'a>,
    /// The pointer to the child.
    pub ptr: Ptr,
}

impl Child<'_> {
    /// Returns the number of bytes that the child takes, the second-level arrays included.
    #[inline(always)]
    pub fn size(&self, drop: usize) -> usize {
        CHILD_WITH_HEAD2 + record_size(&self.separator, drop)
    }
}

fn record_size(separator: &Suffix<'_>, drop: usize) -> usize {
    let remainder = separator.remainder_bytes(drop);
    if remainder == 0 {
        0
    } else {
        LENGTH + remainder
    }
}

/// Returns the number of bytes that a branch of these children takes at most.
pub fn branch_size(children: &[Child<'_>], drop: usize, prefix: usize) -> usize {
    let separators: usize = children.iter().skip(1).map(|c| c.size(drop)).sum();
    HEADER + prefix + CHILD_WITH_HEAD2 + separators
}

/// Writes a branch of `children` into `page`. They must fit (see [`branch_size`]), and the first child's separator is
/// ignored.
pub fn build_branch(page: &mut [u8], level: u8, table: TableId, prefix: NewPrefix<'_>, children: &[Child<'_>]) {
    header::begin(page, BRANCH, level, table, prefix.bytes);
    let n = children.len();
    let mut scratch = Vec::new();
    let (mut run, mut longest) = (0, 0);
    let end = page.len() - prefix.bytes.len();
    let mut at = end;
    for (i, child) in children.iter().enumerate() {
        let separator = match i {
            0 => Suffix::of(&[]),
            _ => child.separator.behind_prefix(prefix.drop, &mut scratch),
        };
        let size = record_size(&separator, 0);
        at -= size;
        // A separator that is all in its head has no record, and its length stands in place of an offset.
        let offset = if size == 0 { separator.len } else { at };
        if size > 0 {
            write_record(page, at, &separator);
        }
        HEADS.set(page, n, i, separator.head);
        OFFSETS.set(page, n, i, offset as u16);
        set_ptr(page, n, i, &child.ptr);
        run = if i > 0 && head_at(page, i - 1) == separator.head {
            run + 1
        } else {
            1
        };
        longest = longest.max(run);
    }
    header::set_count(page, n);
    header::set_heap(page, end - at);
    // The memory was another page's before: its bytes must not get into the file.
    page[CHECKSUMS.at(n, n)..at].fill(0);
    // A long separator goes on outside the page, so its second head would be wrong.
    if longest >= RUN_MIN && !children.iter().skip(1).any(|child| child.separator.long) {
        header::set_flags(page, HEAD2);
        write_second_heads(page, n);
    }
}

/// Writes the record of a separator at `at`: its length, and what is not in its head. The separator has no lead.
#[inline(always)]
fn write_record(page: &mut [u8], at: usize, separator: &Suffix<'_>) {
    put_u16(page, at, record::flagged(separator.len, separator.long));
    let from = at + LENGTH;
    page[from..from + separator.remainder.len()].copy_from_slice(separator.remainder);
}

/// Fills the second-level arrays from the first level and the records.
fn write_second_heads(page: &mut [u8], n: usize) {
    page[SECOND_HEADS.at(n, 0)..RUN_PREFIXES.at(n, n)].fill(0);
    let copy = page.to_vec();
    if let Ok(branch) = Branch::new(&copy, PageRef::UNKNOWN) {
        each_second_head(&branch, |i, second, shared| {
            SECOND_HEADS.set(page, n, i, second);
            RUN_PREFIXES.set(page, n, i, shared);
        });
    }
}

/// Calls `f` with each separator that has a second head: its number, its second head and its run prefix.
fn each_second_head(branch: &Branch<'_>, mut f: impl FnMut(usize, u32, u8)) {
    let (page, n) = (branch.bytes(), branch.len());
    let mut from = 0;
    while from < n {
        let h = head_at(page, from);
        let to = (from + 1..n).find(|i| head_at(page, *i) != h).unwrap_or(n);
        // The run's first separator has no second head, because a search compares it by itself (see `Tied`).
        if to - from > 2 {
            let shared = shared_in(branch, &(from..to));
            for i in from + 1..to {
                f(i, second_head(branch, i, shared), shared as u8);
            }
        }
        from = to;
    }
}

/// Returns the bytes behind the head of separator `i`.
fn remainder<'a>(branch: &Branch<'a>, i: usize) -> &'a [u8] {
    branch.separator(i).map(|s| s.inline_remainder()).unwrap_or(&[])
}

/// Returns how many bytes behind their heads the separators of a run share, but for the first one.
fn shared_in(branch: &Branch<'_>, run: &Range<usize>) -> usize {
    let ends = (remainder(branch, run.start + 1), remainder(branch, run.end - 1));
    common_prefix(ends.0, ends.1).min(255)
}

/// Returns the second head of separator `i` of a run whose separators share so many bytes behind their heads.
fn second_head(branch: &Branch<'_>, i: usize, shared: usize) -> u32 {
    let remainder = remainder(branch, i);
    head(&remainder[shared.min(remainder.len())..])
}

/// Returns whether the second-level arrays of a branch are those that its separators give.
pub fn second_heads_are_right(branch: &Branch<'_>) -> bool {
    let (page, n) = (branch.bytes(), branch.len());
    if header::flags(page) & HEAD2 == 0 {
        return true;
    }
    let mut expected = vec![(0, 0); n];
    each_second_head(branch, |i, second, shared| expected[i] = (second, shared));
    let stored = (0..n).map(|i| (SECOND_HEADS.get(page, n, i), RUN_PREFIXES.get(page, n, i)));
    stored.eq(expected)
}

/// Sets pointer `i` of a branch of `n` children.
#[inline(always)]
fn set_ptr(page: &mut [u8], n: usize, i: usize, ptr: &Ptr) {
    PAGES.set(page, n, i, ptr.page.to_bits());
    CHECKSUMS.set(page, n, i, ptr.checksum);
    BIRTHS.set(page, n, i, ptr.birth.get());
    ENTRIES.set(page, n, i, ptr.entries);
}

/// Replaces pointer `i` of a private branch.
#[inline(always)]
pub fn replace_ptr(page: &mut [u8], i: usize, ptr: &Ptr) {
    let n = header::count(page);
    set_ptr(page, n, i, ptr);
}

/// Says where the rest of separator `i` is, which is a long one, and returns true. Returns false and changes nothing if
/// there is no such separator.
pub fn replace_rest(page: &mut [u8], i: usize, rest: &Rest) -> bool {
    let Some(at) = Branch::new(page, PageRef::UNKNOWN).ok().and_then(|branch| {
        let separator = (i < branch.len()).then(|| branch.separator(i).ok())??;
        let (at, bytes) = branch.record_span(i, &separator).filter(|_| separator.long)?;
        (at + bytes).checked_sub(REST)
    }) else {
        return false;
    };
    page[at..at + REST].copy_from_slice(&rest.encode());
    true
}

/// Returns where child `i` of a branch is that was viewed as one before.
#[inline(always)]
pub fn child_of(page: &[u8], i: usize) -> PageRef {
    PageRef::from_bits(PAGES.get(page, header::count(page), i))
}

/// Adds `more` to the number of entries below child `i` of a private branch. Returns false and changes nothing if there
/// is no such child, or if the number would be none.
#[inline(always)]
pub fn change_entries(page: &mut [u8], i: usize, more: i64) -> bool {
    let n = header::count(page);
    let at = ENTRIES.at(n, i);
    let Some(field) = page.get_mut(at..at + ENTRIES.width()).filter(|_| i < n) else {
        return false;
    };
    // The sum of a number of six bytes and one that is not as large does not wrap, and a negative one is too great.
    let entries = get_u48(field, 0).wrapping_add_signed(more);
    if entries > U48_MAX {
        return false;
    }
    put_u48(field, 0, entries);
    true
}

/// Does the same, and replaces the pointer to the child by one to the private page where it is now.
pub fn move_child(page: &mut [u8], i: usize, moved_to: PageRef, more: i64) -> bool {
    let n = header::count(page);
    if !change_entries(page, i, more) {
        return false;
    }
    let ptr = Ptr {
        page: moved_to,
        entries: ENTRIES.get(page, n, i),
        ..Ptr::default()
    };
    set_ptr(page, n, i, &ptr);
    true
}

/// Inserts a child at `i` (at least 1) of a private branch if there is room and the page need not become one with a
/// second level for it. Returns false if not; the page is unchanged then. The separator must not be long.
pub fn insert(page: &mut [u8], i: usize, separator: &Suffix<'_>, ptr: &Ptr) -> bool {
    let n = header::count(page);
    let room = page.len() - header::prefix_len(page);
    let size = record_size(separator, 0);
    let second_level = header::flags(page) & HEAD2 != 0;
    let child = if second_level { CHILD_WITH_HEAD2 } else { CHILD };
    if HEADER + child * (n + 1) + header::heap(page) + size > room {
        return false;
    }
    let tied = |at: &usize| head_at(page, *at) == separator.head;
    let before = (0..i).rev().take_while(tied).count();
    let run = i - before..i + 1 + (i..n).take_while(tied).count();
    if !second_level && run.len() >= RUN_MIN {
        return false;
    }
    let offset = if size == 0 {
        separator.len
    } else {
        let at = room - header::heap(page) - size;
        write_record(page, at, separator);
        let heap = header::heap(page) + size;
        header::set_heap(page, heap);
        at
    };
    match second_level {
        true => open_gap(page, &ARRAYS_WITH_HEAD2, n, i),
        false => open_gap(page, &ARRAYS, n, i),
    }
    HEADS.set(page, n + 1, i, separator.head);
    OFFSETS.set(page, n + 1, i, offset as u16);
    header::set_count(page, n + 1);
    set_ptr(page, n + 1, i, ptr);
    if second_level {
        update_second_heads(page, run, i);
    }
    true
}

/// Sets the second-level elements of a run of equal heads after its element `new` was inserted.
fn update_second_heads(page: &mut [u8], run: Range<usize>, new: usize) {
    let n = header::count(page);
    SECOND_HEADS.set(page, n, new, 0);
    RUN_PREFIXES.set(page, n, new, 0);
    if run.len() <= 2 {
        return;
    }
    let shared = match Branch::new(page, PageRef::UNKNOWN) {
        Ok(branch) => shared_in(&branch, &run),
        Err(_) => return,
    };
    // Mostly the run still shares what it shared. One of three had no second heads before.
    let other = if new + 1 < run.end { new + 1 } else { new - 1 };
    let same = run.len() > 3 && usize::from(RUN_PREFIXES.get(page, n, other)) == shared && new > run.start;
    for at in if same { new..new + 1 } else { run.start + 1..run.end } {
        let second = Branch::new(page, PageRef::UNKNOWN).map_or(0, |branch| second_head(&branch, at, shared));
        SECOND_HEADS.set(page, n, at, second);
        RUN_PREFIXES.set(page, n, at, shared as u8);
    }
}

/// Removes child `i` of a private branch that has others and no second level to keep. Returns false, and leaves the
/// page as it is, where that is not so, or where a long separator would have to give back what it has outside the
/// page.
pub fn remove(page: &mut [u8], i: usize) -> bool {
    let Ok(branch) = Branch::new(page, PageRef::UNKNOWN) else {
        return false;
    };
    let n = branch.len();
    if n < 2 || i >= n || header::flags(page) & HEAD2 != 0 {
        return false;
    }
    // The first child has no separator, so the one that becomes the first loses its own.
    let gone = i.max(1);
    let Some(separator) = branch.separator(gone).ok().filter(|separator| !separator.long) else {
        return false;
    };
    let garbage = header::garbage(page) + record_size(&separator, 0);
    close_gap(page, &ARRAYS, n, i);
    if i == 0 {
        HEADS.set(page, n - 1, 0, 0);
        OFFSETS.set(page, n - 1, 0, 0);
    }
    header::set_count(page, n - 1);
    header::set_garbage(page, garbage);
    true
}

/// Appends the children of `branch` to `out`. The first separator is empty.
pub fn children_of<'a>(branch: &Branch<'a>, out: &mut Vec<Child<'a>>) -> Result<()> {
    for i in 0..branch.len() {
        out.push(Child {
            separator: branch.separator(i)?,
            ptr: branch.ptr(i),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CommitId, PageNo};
    use crate::page::{meta_pages, PageSource, Prefetch};

    const HERE: PageRef = PageRef::placed(PageNo::new(1));

    struct Nothing;
    impl Prefetch for Nothing {
        fn page_size(&self) -> usize {
            4096
        }
    }

    impl PageSource<'static> for Nothing {
        fn page(&self, _: &Ptr) -> Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }

        fn piece(&self, _: PageNo, _: usize, _: u32) -> Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }

        fn raw(&self, _: PageNo, _: u64) -> Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }
    }

    fn separators() -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = vec![vec![]];
        for a in [
            &b"aaaa"[..],
            b"aaaaxyz",
            b"b",
            b"bb\0\0",
            b"bb",
            b"zzzz.com/cat/",
            b"zzzz.com/dog/1",
        ] {
            for b in [&b""[..], b"\0", b"1", b"12345678", b"\xFF"] {
                keys.push([a, b].concat());
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    #[test]
    fn finds_the_last_separator_not_greater() {
        assert_eq!(meta_pages(4096), 4);
        let keys = separators();
        for step in 1..5 {
            let mut chosen: Vec<_> = keys.iter().step_by(step).cloned().collect();
            chosen[0].clear();
            let ptr = |i: usize| Ptr {
                page: PageNo::new(i as u64).into(),
                ..Ptr::default()
            };
            let children: Vec<_> = chosen
                .iter()
                .enumerate()
                .map(|(i, k)| Child {
                    separator: Suffix::of(k),
                    ptr: ptr(i),
                })
                .collect();
            let mut page = vec![0; 4096];
            build_branch(&mut page, 2, TableId::MAIN, NewPrefix::of(b"", 0), &children);
            let branch = Branch::new(&page, HERE).unwrap();
            assert!(branch.used() <= branch_size(&children, 0, 0));
            for k in &keys {
                let want = chosen.iter().rposition(|s| s <= k).unwrap();
                assert_eq!(branch.find(k, &Nothing).unwrap(), want, "{k:?} of {chosen:?}");
                let longer = [k, &b"\x07\x07"[..]].concat();
                let want = chosen.iter().rposition(|s| *s <= longer).unwrap();
                assert_eq!(branch.find(&longer, &Nothing).unwrap(), want, "{longer:?}");
            }
        }
    }

    #[test]
    fn inserting_equals_building() {
        let keys: Vec<Vec<u8>> = (0..60u32)
            .map(|i| [&i.to_be_bytes()[2..], &vec![b'x'; i as usize % 7]].concat())
            .collect();
        let mut page = vec![0; 4096];
        let child = |i: usize| Child {
            separator: Suffix::of(&keys[i]),
            ptr: Ptr {
                page: PageNo::new(i as u64).into(),
                birth: CommitId::new(2 * i as u64),
                entries: 3 * i as u64,
                checksum: i as u32,
            },
        };
        build_branch(
            &mut page,
            2,
            TableId::new(7),
            NewPrefix::of(b"", 0),
            &[child(0), child(30)],
        );
        let mut have = vec![0, 30];
        for step in 0..59usize {
            let i = (step * 37) % 59 + 1;
            if have.contains(&i) {
                continue;
            }
            let at = have.partition_point(|x| *x < i);
            assert!(insert(&mut page, at, &child(i).separator, &child(i).ptr));
            have.insert(at, i);
        }
        check(&page, &have, &keys, &child);
        // Down to one child, from the front, from the back and from between.
        for step in 0..have.len() - 1 {
            let at = [0, have.len() - 1, have.len() / 2][step % 3];
            assert!(remove(&mut page, at));
            have.remove(at);
            check(&page, &have, &keys, &child);
        }
        assert!(!remove(&mut page, 0), "a branch keeps its last child");
    }

    /// Keys of which many share their heads, in every order: the second level is what a build would write.
    #[test]
    fn inserting_keeps_the_second_level_right() {
        for seed in 1..200u64 {
            let mut x = seed * 0x9E37_79B9;
            let mut rnd = move |n: u64| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                (x % n) as usize
            };
            let mut keys: Vec<Vec<u8>> = (0..40)
                .map(|_| {
                    let head = [&b"\0\0\0\0"[..], b"aaaa", b"aaab", b"b"][rnd(4)];
                    let middle = [&b""[..], b"mid", b"middle", b"mine"][rnd(4)];
                    let end: Vec<u8> = (0..rnd(4)).map(|_| rnd(3) as u8).collect();
                    [head, middle, &end].concat()
                })
                .collect();
            keys.sort();
            keys.dedup();
            keys.retain(|key| !key.is_empty());
            fn child(key: &[u8]) -> Child<'_> {
                Child {
                    separator: Suffix::of(key),
                    ptr: Ptr::default(),
                }
            }
            let ascending = seed % 2 == 0;
            let mut have: Vec<Vec<u8>> = vec![Vec::new()];
            let build = |have: &[Vec<u8>]| {
                let children: Vec<_> = have.iter().map(|key| child(key)).collect();
                let mut page = vec![0; 4096];
                build_branch(&mut page, 2, TableId::MAIN, NewPrefix::of(b"", 0), &children);
                page
            };
            let mut page = build(&have);
            let (mut in_place, mut built) = (0, 0);
            while !keys.is_empty() {
                let key = keys.remove(if ascending { 0 } else { rnd(keys.len() as u64) });
                let at = have.partition_point(|other| *other < key);
                let inserted = insert(&mut page, at, &Suffix::of(&key), &Ptr::default());
                have.insert(at, key);
                match inserted {
                    true => in_place += 1,
                    false => {
                        built += 1;
                        page = build(&have);
                    }
                }
                let branch = Branch::new(&page, HERE).unwrap();
                assert_eq!(branch.len(), have.len());
                assert!(second_heads_are_right(&branch), "seed {seed}: {have:?}");
                for (i, key) in have.iter().enumerate() {
                    assert_eq!(
                        branch.find(key, &Nothing).unwrap(),
                        i,
                        "seed {seed}: {key:?} of {have:?}"
                    );
                }
            }
            assert!(in_place > built, "seed {seed}: {in_place} in place, {built} built");
        }
    }

    /// Checks that the children of the page are those of `have`, and that its records and its garbage fill its heap.
    fn check<'k>(page: &[u8], have: &[usize], keys: &[Vec<u8>], child: &impl Fn(usize) -> Child<'k>) {
        let branch = Branch::new(page, HERE).unwrap();
        assert_eq!(branch.len(), have.len());
        let mut bytes = header::garbage(page);
        for (at, i) in have.iter().enumerate() {
            assert_eq!(branch.ptr(at), child(*i).ptr);
            let mut out = Vec::new();
            branch.write_separator(at, &Nothing, &mut out).unwrap();
            assert_eq!(&out, if at == 0 { &[][..] } else { &keys[*i] });
            let separator = branch.separator(at).unwrap();
            bytes += branch.record_span(at, &separator).map_or(0, |(_, size)| size);
        }
        assert_eq!(bytes, header::heap(page));
    }
}
