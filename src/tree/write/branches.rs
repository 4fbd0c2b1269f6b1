//! What `apply` does to a branch whose children split, vanished or shrank, and how pages get parents.

use super::apply::{check_level, Apply, Held, Piece, Reply};
use super::fences::{branch_of, child_fences, Fences};
use super::values::{is_long, release_rest, write_rest, LongKey};
use crate::error::Result;
use crate::ids::PageRef;
use crate::page::branch::{self, replace_ptr, Branch, Child};
use crate::page::header::{self, CHECK_PREFIX};
use crate::page::leaf_build::mark_check_prefix;
use crate::page::suffix::Suffix;
use crate::page::{PageSink, PageSource, Ptr};
use crate::util::short::Short;

/// A child in the list that becomes the new branch.
pub(super) struct Kid<'p> {
    pub separator: Separator<'p>,
    pub ptr: Ptr,
    pub small: bool,
    /// Its interval has taken in a vanished neighbour below or above.
    grew_down: bool,
    grew_up: bool,
}

/// A separator in that list.
pub(super) enum Separator<'p> {
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
    pub(super) fn fences_of(
        &self,
        kids: &[Kid<'_>],
        from: usize,
        to: usize,
        prefix: &[u8],
        fences: &Fences,
    ) -> Result<Fences> {
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
    pub(super) fn whole(&self, separator: &Separator<'_>, prefix: &[u8]) -> Result<Vec<u8>> {
        match separator {
            Separator::New(bytes) => Ok(bytes.clone()),
            Separator::Old(suffix) => {
                let mut out = prefix.to_vec();
                suffix.write_whole(&self.source, &mut out, None)?;
                Ok(out)
            }
        }
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

    /// Tells the pages on one edge of the subtree at `ptr` that their interval has grown to `fences`; the pointer.
    pub(super) fn widen(&mut self, ptr: Ptr, level: u8, fences: &Fences, upwards: bool) -> Result<Ptr> {
        let mut page = self.hold(&ptr)?;
        check_level(&page, &ptr, level)?;
        let mut ptr = ptr;
        let unsafe_prefix = header::prefix_len(&page) > fences.prefix_len();
        if level > 1 {
            let branch = branch_of(&page, &ptr)?;
            let edge = if upwards { branch.len() - 1 } else { 0 };
            let child = branch.ptr(edge);
            let inner = child_fences(&branch, &ptr, edge, fences, &self.source)?;
            let new = self.widen(child, level - 1, &inner, upwards)?;
            if new != child {
                replace_ptr(self.own(&ptr, &mut page), edge, &new);
            }
        }
        if unsafe_prefix && header::flags(&page) & header::CHECK_PREFIX == 0 {
            mark_check_prefix(self.own(&ptr, &mut page));
        }
        self.put_back(&mut ptr, page);
        Ok(ptr)
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
