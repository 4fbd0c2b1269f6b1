//! What `apply` does to a branch whose children split, vanished or shrank, and how pages get parents.

use super::apply::{Apply, Held, Piece, Reply};
use super::arena::Arena;
use super::fences::{prefix_len, Fences};
use super::values::{is_long, release_rest, write_rest, LongKey};
use crate::error::Result;
use crate::ids::{PageRef, U48_MAX};
use crate::page::branch::{self, branch_size, build_branch, children_of, replace_ptr, Branch, Child};
use crate::page::header::{self, CHECK_PREFIX, HEADER};
use crate::page::layout::branch::CHILD;
use crate::page::suffix::Suffix;
use crate::page::{PageSink, PageSource, Ptr};
use crate::util::short::Short;

/// A child in the list that becomes the new branch.
struct Kid<'p> {
    separator: Separator<'p>,
    ptr: Ptr,
    small: bool,
    /// Its interval has taken in a vanished neighbour below or above.
    grew_down: bool,
    grew_up: bool,
}

/// A separator in that list.
enum Separator<'p> {
    /// As it stands in the old page, behind that page's prefix.
    Old(Suffix<'p>),
    /// New, whole.
    New(Vec<u8>),
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Takes `changes` (ascending by child) into the branch `page`.
    pub(super) fn restructure(
        &mut self,
        mut ptr: Ptr,
        mut page: Held<'a>,
        level: u8,
        fences: &Fences,
        changes: Vec<(usize, Reply)>,
    ) -> Result<Reply> {
        if let [(at, Reply::Many(pieces))] = changes.as_slice() {
            if let [first, second] = pieces.as_slice() {
                let own = self.own(&ptr, &mut page);
                replace_ptr(own, *at, &first.ptr);
                let plain = !is_long(&second.separator, own.len()) && header::flags(own) & CHECK_PREFIX == 0;
                let suffix = second.separator.get(header::prefix_len(own)..).filter(|_| plain);
                if suffix.is_some_and(|s| branch::insert(own, at + 1, &Suffix::of(s), &second.ptr)) {
                    self.put_back(&mut ptr, page);
                    return Ok(Reply::One { ptr, small: false });
                }
            }
        }
        let append = is_append(&changes, &page, fences);
        let only_small = changes.iter().all(|(_, reply)| matches!(reply, Reply::One { .. }));
        let bytes = page.to_vec();
        let old = Branch::new(&bytes).map_err(|d| d.at(ptr.page))?;
        let mut kids = self.substitute(&old, ptr.page, changes)?;
        if kids.is_empty() {
            self.discard(&ptr, page);
            return Ok(Reply::Many(Vec::new()));
        }
        self.widen_grown(&mut kids, old.prefix(), level, fences)?;
        let joined = self.join_small(&mut kids, &old, ptr.page, level, fences)?;
        if only_small && !joined {
            let small = old.used() < bytes.len() / 4 && matches!(page, Held::Own(_));
            self.put_back(&mut ptr, page);
            return Ok(Reply::One { ptr, small });
        }
        let base = header::prefix_len(&bytes).min(fences.prefix_len());
        let (prefix, lead) = (&old.prefix()[..base], &old.prefix()[base..]);
        if let Some(Separator::Old(first)) = kids.first().map(|k| &k.separator) {
            release_rest(first, ptr.page, bytes.len(), self.sink)?;
        }
        let long = self.write_long_separators(&kids, base)?;
        let children = as_children(&kids, &long, lead, base, bytes.len());
        let pieces = self.pack_branches(&children, prefix, fences, level, append)?;
        self.discard(&ptr, page);
        Ok(match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece { ptr, small, .. }]) => Reply::One { ptr, small },
            Err(pieces) => Reply::Many(pieces),
        })
    }

    /// The children of `old` with the changed ones replaced.
    fn substitute<'p>(
        &mut self,
        old: &Branch<'p>,
        number: PageRef,
        changes: Vec<(usize, Reply)>,
    ) -> Result<Vec<Kid<'p>>> {
        let mut changes = changes.into_iter().peekable();
        let mut kids: Vec<Kid<'p>> = Vec::with_capacity(old.len() + 8);
        let mut grew_down = false;
        for i in 0..old.len() {
            let separator = old.separator(i).map_err(|d| d.at(number))?;
            let kid = |separator, ptr, small| Kid {
                separator,
                ptr,
                small,
                grew_down: false,
                grew_up: false,
            };
            let before = kids.len();
            match changes.next_if(|(at, _)| *at == i) {
                None => kids.push(kid(Separator::Old(separator), old.ptr(i), false)),
                Some((_, Reply::One { ptr, small })) => kids.push(kid(Separator::Old(separator), ptr, small)),
                Some((_, Reply::Many(pieces))) if pieces.is_empty() => {
                    release_rest(&separator, number, old.bytes().len(), self.sink)?;
                    match kids.last_mut() {
                        Some(left) => left.grew_up = true,
                        None => grew_down = true,
                    }
                }
                Some((_, Reply::Many(pieces))) => {
                    let mut first = Some(Separator::Old(separator));
                    for p in pieces {
                        let separator = first.take().unwrap_or(Separator::New(p.separator));
                        kids.push(kid(separator, p.ptr, p.small));
                    }
                }
            }
            if let Some(first) = kids.get_mut(before).filter(|_| grew_down) {
                first.grew_down = true;
                grew_down = false;
            }
        }
        Ok(kids)
    }

    /// Tells children that their interval has grown.
    fn widen_grown(&mut self, kids: &mut [Kid<'_>], prefix: &[u8], level: u8, fences: &Fences) -> Result<()> {
        for i in 0..kids.len() {
            for upwards in [false, true] {
                let grew = if upwards { kids[i].grew_up } else { kids[i].grew_down };
                if grew {
                    let own = self.fences_of(kids, i, i + 1, prefix, fences)?;
                    kids[i].ptr = self.widen(kids[i].ptr, level - 1, &own, upwards)?;
                }
            }
        }
        Ok(())
    }

    /// The bounds of the children `from..to` together.
    fn fences_of(&self, kids: &[Kid<'_>], from: usize, to: usize, prefix: &[u8], fences: &Fences) -> Result<Fences> {
        let low = if from == 0 {
            fences.low.clone()
        } else {
            Short::of(&self.whole(&kids[from].separator, prefix)?)
        };
        let high = match kids.get(to) {
            Some(kid) => Some(Short::of(&self.whole(&kid.separator, prefix)?)),
            None => fences.high.clone(),
        };
        Ok(Fences { low, high })
    }

    /// A separator with its prefix and the rest of a long one.
    fn whole(&self, separator: &Separator<'_>, prefix: &[u8]) -> Result<Vec<u8>> {
        match separator {
            Separator::New(bytes) => Ok(bytes.clone()),
            Separator::Old(suffix) => {
                let mut out = prefix.to_vec();
                suffix.write_whole(&self.source, &mut out, None)?;
                Ok(out)
            }
        }
    }

    /// Joins underfull children with a neighbour where the two fit one page; whether any was.
    fn join_small(
        &mut self,
        kids: &mut Vec<Kid<'_>>,
        old: &Branch<'_>,
        number: PageRef,
        level: u8,
        fences: &Fences,
    ) -> Result<bool> {
        let (prefix, size) = (old.prefix(), old.bytes().len());
        let mut any = false;
        let mut i = 0;
        while i < kids.len() {
            if !kids[i].small {
                i += 1;
                continue;
            }
            let mut joined = None;
            for left in [Some(i), i.checked_sub(1)].into_iter().flatten() {
                if left + 1 >= kids.len() {
                    continue;
                }
                let own = self.fences_of(kids, left, left + 2, prefix, fences)?;
                let (a, b) = (kids[left].ptr, kids[left + 1].ptr);
                let page = if level == 2 {
                    self.join_leaves(a, b, &own)?
                } else {
                    let between = self.whole(&kids[left + 1].separator, prefix)?;
                    self.join_branches(a, b, &between, &own, level - 1)?
                };
                if let Some(page) = page {
                    joined = Some((left, page));
                    break;
                }
            }
            let Some((left, page)) = joined else {
                i += 1;
                continue;
            };
            if let Separator::Old(separator) = kids.remove(left + 1).separator {
                release_rest(&separator, number, size, self.sink)?;
            }
            kids[left].ptr = page;
            // The joined page may be small again, or the next one: look at it once more.
            kids[left].small = self.is_small(&page)?;
            any = true;
            i = left;
        }
        Ok(any)
    }

    fn is_small(&mut self, ptr: &Ptr) -> Result<bool> {
        let (page, _) = self.peek(ptr, ptr)?;
        let used = match header::kind(page) {
            header::BRANCH => Branch::new(page).map(|b| b.used()),
            _ => crate::page::leaf::Leaf::new(page).map(|l| l.used()),
        };
        Ok(used.map_err(|d| d.at(ptr.page))? < page.len() / 4)
    }

    /// Joins two neighbouring branches with the separator `between` if they fit one page.
    fn join_branches(&mut self, a: Ptr, b: Ptr, between: &[u8], fences: &Fences, level: u8) -> Result<Option<Ptr>> {
        let plen = fences.prefix_len();
        let (left, right) = self.peek(&a, &b)?;
        let size = left.len();
        let limit = size / 16 * 15;
        let used = |page, ptr: &Ptr| Branch::new(page).map(|b| b.used()).map_err(|d| d.at(ptr.page));
        if used(left, &a)? + used(right, &b)? + between.len().min(size) - HEADER > limit {
            return Ok(None);
        }
        let base = header::prefix_len(left).min(header::prefix_len(right)).min(plen);
        let (left, right) = (left.to_vec(), right.to_vec());
        let (x, y) = (
            Branch::new(&left).map_err(|d| d.at(a.page))?,
            Branch::new(&right).map_err(|d| d.at(b.page))?,
        );
        let mut children = Vec::with_capacity(x.len() + y.len());
        children_of(&x, &mut children).map_err(|d| d.at(a.page))?;
        children_of(&y, &mut children).map_err(|d| d.at(b.page))?;
        for (i, child) in children.iter_mut().enumerate() {
            child.separator.lead = if i < x.len() {
                &x.prefix()[base..]
            } else {
                &y.prefix()[base..]
            };
        }
        children[x.len()].separator = Suffix::of(between.get(base..).unwrap_or(&[]));
        let long;
        if is_long(between, size) {
            if branch_size(&children, 0, plen) > limit + between.len() {
                return Ok(None);
            }
            long = write_rest(between, base, size, self.sink)?;
            children[x.len()].separator = long.suffix();
        }
        if branch_size(&children, plen - base, plen) > limit {
            release_rest(&children[x.len()].separator, a.page, size, self.sink)?;
            return Ok(None);
        }
        let mut memory = self.arena.memory();
        build_branch(
            &mut memory,
            level,
            self.table,
            &fences.low[..plen],
            &children,
            plen - base,
        );
        let entries = a.entries.saturating_add(b.entries).min(U48_MAX);
        self.abandon(&a);
        self.abandon(&b);
        Ok(Some(Arena::ptr(self.arena.insert(memory), entries)))
    }

    /// Writes the rests of new separators that are long, in order.
    fn write_long_separators(&mut self, kids: &[Kid<'_>], base: usize) -> Result<Vec<LongKey>> {
        let size = self.source.page_size();
        let mut written = Vec::new();
        for kid in kids.iter().skip(1) {
            if let Separator::New(bytes) = &kid.separator {
                if is_long(bytes, size) {
                    written.push(write_rest(bytes, base, size, self.sink)?);
                }
            }
        }
        Ok(written)
    }

    /// Gives `pieces` parents at `level`: one page or several.
    pub(super) fn build_branches(
        &mut self,
        pieces: Vec<Piece>,
        level: u8,
        fences: &Fences,
        append: bool,
    ) -> Result<Vec<Piece>> {
        let kids: Vec<Kid<'_>> = pieces
            .into_iter()
            .map(|p| Kid {
                separator: Separator::New(p.separator),
                ptr: p.ptr,
                small: false,
                grew_down: false,
                grew_up: false,
            })
            .collect();
        let long = self.write_long_separators(&kids, 0)?;
        let children = as_children(&kids, &long, &[], 0, self.source.page_size());
        self.pack_branches(&children, &[], fences, level, append)
    }

    /// Cuts `children`, counted from `base`, into as many branches as it takes. The separators at the cuts move up.
    fn pack_branches(
        &mut self,
        children: &[Child<'_>],
        base: &[u8],
        fences: &Fences,
        level: u8,
        append: bool,
    ) -> Result<Vec<Piece>> {
        let size = self.source.page_size();
        let mut sums = Vec::with_capacity(children.len() + 1);
        let mut sum = 0;
        sums.push(0);
        for c in children {
            sum += c.size(0);
            sums.push(sum);
        }
        let room = size - HEADER - base.len();
        let pages = sum.div_ceil(room).max(1);
        let target = if append { room } else { room.min(sum.div_ceil(pages)) };
        let mut pieces = Vec::with_capacity(pages);
        let (mut from, mut low) = (0, Vec::new());
        while from < children.len() {
            let mut to = children.len();
            if !self.branch_fits(children, base, from, &low, to, fences)? {
                to = from + sums[from..].partition_point(|s| s - sums[from] <= target);
                to = to.clamp(from + 1, children.len());
                while to > from + 1 && !self.branch_fits(children, base, from, &low, to, fences)? {
                    to -= 1;
                }
            }
            let high = self.cut_at(children, base, to)?;
            let plen = branch_prefix(from, &low, to == children.len(), &high, fences).max(base.len());
            let start: &[u8] = if from == 0 { &fences.low } else { &low };
            let mut memory = self.arena.memory();
            let group = &children[from..to];
            build_branch(&mut memory, level, self.table, &start[..plen], group, plen - base.len());
            if from > 0 {
                // Its bytes moved up into `low`; the parent writes them anew.
                release_rest(&children[from].separator, None, size, self.sink)?;
            }
            let small = branch_size(group, plen - base.len(), plen) < size / 4;
            let entries = group
                .iter()
                .fold(0u64, |n, c| n.saturating_add(c.ptr.entries))
                .min(U48_MAX);
            let ptr = Arena::ptr(self.arena.insert(memory), entries);
            let separator = low;
            pieces.push(Piece { separator, ptr, small });
            (from, low) = (to, high);
        }
        Ok(pieces)
    }

    fn branch_fits(
        &self,
        children: &[Child<'_>],
        base: &[u8],
        from: usize,
        low: &[u8],
        to: usize,
        fences: &Fences,
    ) -> Result<bool> {
        // Even the arrays alone would not fit: no need to look closer.
        if (to - from) * CHILD > self.source.page_size() {
            return Ok(false);
        }
        let high = self.cut_at(children, base, to)?;
        let plen = branch_prefix(from, low, to == children.len(), &high, fences).max(base.len());
        Ok(branch_size(&children[from..to], plen - base.len(), plen) <= self.source.page_size())
    }

    /// The separator at `at`, whole; empty behind the last.
    fn cut_at(&self, children: &[Child<'_>], base: &[u8], at: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if let Some(c) = children.get(at) {
            out.extend_from_slice(base);
            c.separator.write_whole(&self.source, &mut out, None)?;
        }
        Ok(out)
    }
}

fn branch_prefix(from: usize, low: &[u8], last: bool, high: &[u8], fences: &Fences) -> usize {
    let low = if from == 0 { &fences.low } else { low };
    match &fences.high {
        _ if !last => prefix_len(low, high),
        Some(high) => prefix_len(low, high),
        None => 0,
    }
}

/// Whether only the last child of the tree's right edge has split, into more than two.
fn is_append(changes: &[(usize, Reply)], page: &[u8], fences: &Fences) -> bool {
    match changes {
        [(at, Reply::Many(_))] => fences.high.is_none() && *at + 1 == header::count(page),
        _ => false,
    }
}

/// The list as a build wants it: separators relative to `base` bytes of prefix; `long` are the new long ones, in order.
fn as_children<'k>(
    kids: &'k [Kid<'k>],
    long: &'k [LongKey],
    lead: &'k [u8],
    base: usize,
    page_size: usize,
) -> Vec<Child<'k>> {
    let mut long = long.iter();
    let mut children = Vec::with_capacity(kids.len());
    for (i, kid) in kids.iter().enumerate() {
        let separator = match &kid.separator {
            _ if i == 0 => Suffix::of(&[]),
            Separator::Old(suffix) => Suffix { lead, ..*suffix },
            Separator::New(bytes) => match is_long(bytes, page_size).then(|| long.next()).flatten() {
                Some(written) => written.suffix(),
                None => Suffix::of(bytes.get(base..).unwrap_or(&[])),
            },
        };
        children.push(Child {
            separator,
            ptr: kid.ptr,
        });
    }
    children
}
