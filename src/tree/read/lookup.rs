//! Point lookups, single and interleaved.

use super::quick;
use crate::error::{Error, Result};
use crate::ids::PageRef;
use crate::page::branch::Branch;
use crate::page::header;
use crate::page::hint::branch::BRANCH_AHEAD;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::leaf::{Leaf, Stored};
use crate::page::{PageSource, Ptr, Root};
use crate::tree::write::apply::HEIGHT_MAX;
use crate::util::hash::fingerprint;
use std::marker::PhantomData;

/// Bytes of a leaf worth asking for early: header, heads, fingerprints, or the keys of a dense leaf.
pub(super) const LEAF_AHEAD: usize = 1024;
/// Bytes of a leaf asked for early where many lookups are under way: the rest is asked for once it is known how much there
/// is. Memory has more to do then, and must not be asked for what nobody needs.
const LEAF_NEAR: usize = 256;
/// Lookups under way at once in [`get_few`].
pub const LANES: usize = 16;

#[cold]
#[inline(never)]
fn wrong_level(page: PageRef) -> Error {
    Error::corrupt(page, "page of another level than its parent says")
}

/// Refuses roots that no tree can have.
#[inline(always)]
pub(super) fn check_height(root: &Root) -> Result<()> {
    if root.height > HEIGHT_MAX {
        return Err(Error::corrupt(root.ptr.page, "tree too high"));
    }
    Ok(())
}

/// The branch of level `level` behind `ptr`.
#[inline(always)]
pub(super) fn branch<'s, S: PageSource<'s> + ?Sized>(source: &S, ptr: &Ptr, level: u8) -> Result<Branch<'s>> {
    let branch = Branch::new(source.page(ptr)?).map_err(|d| d.at(ptr.page))?;
    if header::level(branch.bytes()) != level {
        return Err(wrong_level(ptr.page));
    }
    Ok(branch)
}

/// The leaf behind `ptr`.
#[inline(always)]
pub(super) fn leaf<'s, S: PageSource<'s> + ?Sized>(source: &S, ptr: &Ptr) -> Result<Leaf<'s>> {
    let leaf = Leaf::new(source.page(ptr)?).map_err(|d| d.at(ptr.page))?;
    if header::level(leaf.bytes()) != 1 {
        return Err(wrong_level(ptr.page));
    }
    Ok(leaf)
}

/// Page and sum of the child behind `ptr` that `key` belongs into, however it is found.
#[cold]
#[inline(never)]
fn far_child<'s, S: PageSource<'s> + ?Sized>(source: &S, ptr: &Ptr, level: u8, key: &[u8]) -> Result<(PageRef, u32)> {
    let branch = branch(source, ptr, level)?;
    let child = branch.target(branch.find(key, ptr.page, source)?);
    Ok((child.page, child.checksum))
}

/// Asks memory for what a lookup of `key` will need of child `i` of a branch of level `level`.
#[inline(always)]
pub(super) fn ask_child<'s, S: PageSource<'s> + ?Sized>(
    source: &S,
    branch: &Branch<'s>,
    i: usize,
    key: &[u8],
    level: u8,
) {
    let child = branch.child(i);
    match source.leaf_hints() {
        _ if level != 2 => source.prefetch(child, BRANCH_AHEAD),
        Some(guess) => guess.ask(source, child, branch.fraction(i, key)),
        None => source.prefetch(child, LEAF_AHEAD),
    }
}

/// The leaf that `key` belongs into, and its page number; `None` in an empty tree.
#[inline(always)]
fn leaf_of<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
    kernel: K,
    source: &S,
    root: &Root,
    key: &[u8],
) -> Result<Option<(PageRef, Leaf<'s>)>> {
    check_height(root)?;
    if root.height == 0 {
        return Ok(None);
    }
    let mut ptr = root.ptr;
    let mut level = root.height;
    while level > 1 {
        let branch = branch(source, &ptr, level)?;
        let i = branch.find_with(kernel, key, ptr.page, source)?;
        ask_child(source, &branch, i, key, level);
        level -= 1;
        ptr = branch.target(i);
    }
    let leaf = leaf(source, &ptr)?;
    if let Some(guess) = source.leaf_hints() {
        guess.learn(&leaf);
    }
    Ok(Some((ptr.page, leaf)))
}

/// A lookup of one key. Without `VALUE` only its presence matters, and the answer's bytes are none.
struct Lookup<'a, 's, S: ?Sized, const VALUE: bool> {
    source: &'a S,
    root: &'a Root,
    key: &'a [u8],
    pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s> + ?Sized, const VALUE: bool> Work for Lookup<'_, 's, S, VALUE> {
    type Out = Result<Option<Stored<'s>>>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Out {
        let print = fingerprint(self.key);
        let Some((number, leaf)) = leaf_of(kernel, self.source, self.root, self.key)? else {
            return Ok(None);
        };
        match leaf.find_with(kernel, self.key, print, number, self.source)? {
            Some(i) if VALUE => leaf.value(i).map(Some).map_err(|d| d.at(number)),
            Some(_) => Ok(Some(Stored::Inline(&[]))),
            None => Ok(None),
        }
    }
}

/// The value of `key`.
///
/// # Errors
/// `Corrupt`, as everywhere in this room.
#[inline(always)]
pub fn get<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, key: &[u8]) -> Result<Option<Stored<'s>>> {
    best(Lookup::<S, true> {
        source,
        root,
        key,
        pages: PhantomData,
    })
}

/// Whether `key` is in the tree.
///
/// # Errors
/// `Corrupt`.
#[inline]
pub fn contains<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, key: &[u8]) -> Result<bool> {
    best(Lookup::<S, false> {
        source,
        root,
        key,
        pages: PhantomData,
    })
    .map(|found| found.is_some())
}

/// One lookup under way.
#[derive(Clone, Copy)]
struct Lane<'s> {
    ptr: Ptr,
    leaf: Option<Leaf<'s>>,
    print: u8,
    /// Where to look in the leaf.
    aimed: Option<usize>,
}

/// The values of many keys, appended to `out` in the order of `keys`. Up to 16 lookups go down together, one level at a
/// time, so that their waits for memory overlap.
///
/// # Errors
/// `Corrupt` on the first damage met; `out` may then hold a part.
pub fn get_many<'s, S: PageSource<'s> + ?Sized>(
    source: &S,
    root: &Root,
    keys: &[&[u8]],
    out: &mut Vec<Option<Stored<'s>>>,
) -> Result<()> {
    out.reserve(keys.len());
    for keys in keys.chunks(LANES) {
        get_few(source, root, keys, |found| {
            out.push(found);
            Ok(())
        })?;
    }
    Ok(())
}

/// The values of at most 16 keys (more are ignored), given to `found` in the order of `keys`.
///
/// # Errors
/// `Corrupt`, and what `found` answers.
#[inline]
pub fn get_few<'s, S, F>(source: &S, root: &Root, keys: &[&[u8]], found: F) -> Result<()>
where
    S: PageSource<'s> + ?Sized,
    F: FnMut(Option<Stored<'s>>) -> Result<()>,
{
    best(Together {
        source,
        root,
        keys,
        found,
        pages: PhantomData,
    })
}

/// Lookups of up to 16 keys.
struct Together<'a, 's, S: ?Sized, F> {
    source: &'a S,
    root: &'a Root,
    keys: &'a [&'a [u8]],
    found: F,
    pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s> + ?Sized, F: FnMut(Option<Stored<'s>>) -> Result<()>> Work for Together<'_, 's, S, F> {
    type Out = Result<()>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<()> {
        let Together {
            source,
            root,
            keys,
            mut found,
            pages: _,
        } = self;
        check_height(root)?;
        if root.height == 0 {
            return keys.iter().take(LANES).try_for_each(|_| found(None));
        }
        let start = Lane {
            ptr: root.ptr,
            leaf: None,
            print: 0,
            aimed: None,
        };
        let mut lanes = [start; LANES];
        for level in (2..=root.height).rev() {
            let mut targets = [None; LANES];
            for ((lane, key), target) in lanes.iter().zip(keys).zip(&mut targets) {
                *target = quick::target(kernel, source, source.page(&lane.ptr)?, level, key);
                if let (Some(target), 2) = (target, level) {
                    target.ask(source, lane.ptr.page);
                }
            }
            for ((lane, key), target) in lanes.iter_mut().zip(keys).zip(&targets) {
                (lane.ptr.page, lane.ptr.checksum) = match target {
                    Some(target) => target.child(),
                    None => far_child(source, &lane.ptr, level, key)?,
                };
            }
            let lanes = &lanes[..keys.len().min(LANES)];
            if level > 2 {
                lanes
                    .iter()
                    .for_each(|lane| source.prefetch(lane.ptr.page, BRANCH_AHEAD));
            } else {
                // A request waits for the page table, and what comes behind it waits with it: one after the other, and with
                // nothing between them, they wait together.
                lanes.iter().for_each(|lane| source.prefetch_at(lane.ptr.page, 0, 1));
                lanes
                    .iter()
                    .for_each(|lane| source.prefetch_at(lane.ptr.page, 64, LEAF_NEAR / 64 - 1));
            }
        }
        // Three steps in the leaf, so that none waits for what it has just found out to need.
        for lane in lanes.iter_mut().take(keys.len()) {
            let leaf = leaf(source, &lane.ptr)?;
            leaf.approach(LEAF_NEAR);
            lane.leaf = Some(leaf);
        }
        for (lane, key) in lanes.iter_mut().zip(keys) {
            lane.print = fingerprint(key);
            if let Some(leaf) = &lane.leaf {
                lane.aimed = leaf.aim(kernel, key, lane.print);
            }
        }
        for (lane, key) in lanes.iter().zip(keys) {
            let (Some(leaf), Some(aimed)) = (&lane.leaf, lane.aimed) else {
                found(None)?;
                continue;
            };
            let number = lane.ptr.page;
            found(match leaf.strike(kernel, aimed, key, lane.print, number, source)? {
                Some(i) => Some(leaf.value(i).map_err(|d| d.at(number))?),
                None => None,
            })?;
        }
        Ok(())
    }
}
