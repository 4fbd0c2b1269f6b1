//! Moving what a page refers to outside of it: the extents of long values, and the rests of long keys and separators.
//!
//! An extent is copied to a run of free pages of the same length, piece by piece, each verified. The description in the
//! page then names another run and another birth, and has the same length as before. If no run of free pages is long
//! enough, an extent of several pieces is divided among some of them, as far as the value may have more extents and the
//! leaf has room for a longer description. Else it stays where it is and is counted (`Relocation::left`), while others
//! of the value move.

use super::apply::Apply;
use super::node::Node;
use super::relocation::Relocation;
use crate::error::{Error, Result};
use crate::ids::{PageRef, Run};
use crate::page::chain::{Chain, Sums, EXTENTS_MAX, EXTENT_BYTES};
use crate::page::leaf::{Leaf, Stored};
use crate::page::suffix::{Rest, Suffix};
use crate::page::{branch_build, leaf_edit, Extent, PageSink, PageSource, PIECE};
use crate::util::crc32c;

/// What an entry refers to outside its leaf, some of it behind the frontier.
enum Outside {
    /// The entry has a long key with this rest.
    Key(Rest),
    /// The entry has this long value.
    Value(Chain),
}

/// Returns what the entries of a leaf refer to behind the frontier, each with the number of its entry.
fn found_behind(leaf: &Leaf<'_>, page_size: usize, work: &Relocation) -> Result<Vec<(usize, Outside)>> {
    let mut found = Vec::new();
    // A dense leaf has neither long keys nor long values.
    for i in 0..if leaf.is_dense() { 0 } else { leaf.len() } {
        Error::or_room(&mut found, 2, "the long values of a leaf")?;
        if let Some(rest) = leaf.slotted_suffix(i)?.rest().map_err(|d| d.at(leaf.at()))? {
            if work.is_extent_behind(&rest.extent(page_size)) {
                found.push((i, Outside::Key(rest)));
            }
        }
        if let Stored::Chain(description) = leaf.value(i)? {
            let chain = Chain::decode(description, page_size).map_err(|d| d.at(leaf.at()))?;
            if chain.all_extents().any(|extent| work.is_extent_behind(extent)) {
                found.push((i, Outside::Value(chain)));
            }
        }
    }
    Ok(found)
}

/// Replaces the description of the long value of entry `i` by another one, for which the leaf has room.
fn replace_value(page: &mut [u8], i: usize, description: &[u8]) -> bool {
    let value = Stored::Chain(description);
    if leaf_edit::overwrite(page, i, &value) {
        return true;
    }
    let Ok((remainder, suffix, fingerprint)) = Leaf::new(page, PageRef::UNKNOWN).and_then(|leaf| {
        let suffix = leaf.slotted_suffix(i)?;
        Ok((
            suffix.remainder.to_vec(),
            Suffix {
                remainder: &[],
                ..suffix
            },
            leaf.fingerprint(i),
        ))
    }) else {
        return false;
    };
    let suffix = Suffix {
        remainder: &remainder,
        lead: &[],
        ..suffix
    };
    leaf_edit::remove(page, i);
    leaf_edit::insert(page, i, &suffix, fingerprint, &value)
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Moves what a leaf refers to behind the frontier, until as much is moved as may be. What is left in the leaf then
    /// is the next walk's: what was moved does not lie behind the frontier any more.
    pub(super) fn relocate_long(&mut self, node: &mut Node<'a>, work: &mut Relocation) -> Result<()> {
        for (i, outside) in found_behind(&node.leaf()?, node.size(), work)? {
            if !work.may_look() {
                break;
            }
            let replaced = match outside {
                Outside::Key(rest) => match self.relocate_rest(&rest, work)? {
                    Some(rest) => leaf_edit::replace_rest(self.make_private_counted(node, work), i, &rest),
                    None => true,
                },
                Outside::Value(chain) => {
                    let room = node.size().saturating_sub(node.leaf()?.used());
                    match self.relocate_chain(&chain, room, work)? {
                        Some(chain) => replace_value(self.make_private_counted(node, work), i, &chain.encode()),
                        None => true,
                    }
                }
            };
            if !replaced {
                return Err(Error::corrupt(node.ptr.page, "a leaf contradicts itself"));
            }
        }
        Ok(())
    }

    /// Moves the rest of separator `i` of a branch, if it is a long one whose rest lies behind the frontier.
    pub(super) fn relocate_separator(&mut self, node: &mut Node<'a>, i: usize, work: &mut Relocation) -> Result<()> {
        let (at, size) = (node.ptr.page, node.size());
        let Some(rest) = node.branch()?.separator(i)?.rest().map_err(|d| d.at(at))? else {
            return Ok(());
        };
        if !work.is_extent_behind(&rest.extent(size)) {
            return Ok(());
        }
        let Some(rest) = self.relocate_rest(&rest, work)? else {
            return Ok(());
        };
        match branch_build::replace_rest(self.make_private_counted(node, work), i, &rest) {
            true => Ok(()),
            false => Err(Error::corrupt(at, "a branch contradicts itself")),
        }
    }

    /// Copies the rest of a long key. Returns the description of the copy, or `None` if no free run takes it.
    fn relocate_rest(&mut self, rest: &Rest, work: &mut Relocation) -> Result<Option<Rest>> {
        let size = self.source.page_size();
        let old = rest.extent(size);
        let Some(run) = self.take_hole(old.run.pages, work)? else {
            return Ok(None);
        };
        let bytes = rest.read(&self.source)?;
        for (i, piece) in bytes.chunks(PIECE as usize).enumerate() {
            let first = run.first + i as u64 * (PIECE / size as u64);
            self.sink.write_piece(first, piece, rest.checksums[i])?;
        }
        self.sink.release(old);
        Ok(Some(Rest {
            page: run.first,
            birth: self.sink.birth(),
            ..*rest
        }))
    }

    /// Copies those extents of a value that lie behind the frontier, each if free runs take it. The description may
    /// become longer by `room` bytes. Returns the value as it is then, or `None` if nothing was copied.
    fn relocate_chain(&mut self, chain: &Chain, room: usize, work: &mut Relocation) -> Result<Option<Chain>> {
        let per_piece = PIECE / self.source.page_size() as u64;
        let mut more = (EXTENTS_MAX - chain.extents.len().min(EXTENTS_MAX)).min(room / EXTENT_BYTES);
        let (mut new, mut piece) = (chain.clone(), 0);
        new.extents.clear();
        for old in &chain.extents {
            // All extents but the last hold whole pieces.
            let pieces = old.run.pages.div_ceil(per_piece);
            let runs = match work.is_extent_behind(old) {
                true => self.take_holes(old.run.pages, more + 1, work)?,
                false => Vec::new(),
            };
            if runs.is_empty() {
                new.extents.push(*old);
            } else {
                let firsts = runs
                    .iter()
                    .flat_map(|run| (0..run.pages).step_by(per_piece as usize).map(|at| run.first + at));
                for (i, first) in (piece..piece + pieces).zip(firsts) {
                    let bytes = chain.piece(i, &self.source)?;
                    self.sink.write_piece(first, bytes, crc32c(bytes))?;
                }
                self.sink.release(*old);
                more -= runs.len() - 1;
                let birth = self.sink.birth();
                new.extents.extend(runs.into_iter().map(|run| Extent::new(run, birth)));
            }
            piece += pieces;
        }
        if let (Sums::Index(old, sum), Sums::Index(extent, _)) = (&chain.sums, &mut new.sums) {
            if work.is_extent_behind(old) {
                if let Some(run) = self.take_hole(old.run.pages, work)? {
                    // The checksums of the longest value fill one piece.
                    self.sink.write_piece(run.first, chain.sums(&self.source)?, *sum)?;
                    self.sink.release(*old);
                    *extent = Extent::new(run, self.sink.birth());
                }
            }
        }
        Ok((new != *chain).then_some(new))
    }

    /// Takes up to `most` free runs for what is moved, so many pages together and all of them but the last whole
    /// pieces. If there are none, counts the pages as left and returns no runs.
    fn take_holes(&mut self, pages: u64, most: usize, work: &mut Relocation) -> Result<Vec<Run>> {
        let per_piece = PIECE / self.source.page_size() as u64;
        let (mut runs, mut left): (Vec<Run>, u64) = (Vec::new(), pages);
        let mut want = match work.has_room_for(pages + 1) {
            true => pages,
            false => 0,
        };
        while want > 0 && left > 0 {
            let is_enough = want == left || runs.len() + 1 < most;
            match if is_enough { self.sink.take_hole(want)? } else { None } {
                Some(run) => {
                    runs.push(run);
                    left -= run.pages;
                    want = want.min(left);
                }
                // The next longest whole pieces.
                None => want = (want - 1).min(want / 4 * 3) / per_piece * per_piece,
            }
        }
        if left == 0 {
            work.note_taken(pages);
            work.note_moved(pages);
            return Ok(runs);
        }
        work.left += pages;
        let birth = self.sink.birth();
        runs.into_iter()
            .for_each(|run| self.sink.release(Extent::new(run, birth)));
        Ok(Vec::new())
    }

    /// Takes a free run of so many pages for what is moved, or counts them as left if there is none.
    fn take_hole(&mut self, pages: u64, work: &mut Relocation) -> Result<Option<Run>> {
        let run = match work.has_room_for(pages + 1) {
            true => self.sink.take_hole(pages)?,
            false => None,
        };
        match run {
            Some(_) => {
                work.note_taken(pages);
                work.note_moved(pages);
            }
            None => work.left += pages,
        }
        Ok(run)
    }
}
