//! What `apply` does to a branch whose children split, vanished or shrank.
//!
//! The branch becomes a list of children ([`BranchDraft`]), the replies are taken into the list, and the list is cut
//! into pages anew. One case is so common that it has a way of its own: a single child that became two is inserted in
//! place.
//!
//! *Separators.* Between two neighbours stands the shortest key that separates them; before the first child stands
//! none, because the branch's own lower fence says where it begins. A separator goes with the child behind it: when a
//! child vanishes or is joined to the one before, its separator goes, too, and gives back what it has outside the page.
//!
//! *Fences.* When a child vanishes, the neighbour before it (the one behind, if it was the first) takes over its
//! interval. Pages on that edge of the neighbour may then receive keys without their prefix. They are marked with
//! `CHECK_PREFIX` until they are next rebuilt. The leaf on that edge is copied in any case (I-28), so that its birth
//! says that its interval is another one.

use super::apply::{is_half_empty, Apply, ChildChange, Fill, NewPage, OpenBranch, Reply};
use super::branch_cut::BranchCutter;
use super::fences::{self, Fences};
use super::node::{branch_in, Node};
use super::values::{is_long_separator, release_rest, write_rest, LongKey};
use crate::error::{Error, Result};
use crate::page::branch::Branch;
use crate::page::branch_build::{self, replace_ptr, Child};
use crate::page::header::{self, CHECK_PREFIX};
use crate::page::leaf_build::mark_check_prefix;
use crate::page::suffix::Suffix;
use crate::page::{PageSink, PageSource, Ptr};
use crate::util::seeded::{self, Bug};
use std::ops::Range;

/// A branch on its way into new pages: the list of its children.
pub(super) struct BranchDraft<'p> {
    pub children: Vec<DraftChild<'p>>,
    /// The branch as it was. Separators that stay are borrowed of its page.
    pub old: Branch<'p>,
    /// The pointer to it, for errors.
    pub ptr: Ptr,
    pub level: u8,
    /// The fences of the branch, old and new.
    pub fences: &'p Fences,
}

/// A child in that list.
pub(super) struct DraftChild<'p> {
    pub separator: Separator<'p>,
    pub ptr: Ptr,
    pub underfull: bool,
    /// Whether its interval has taken in that of a vanished neighbour below it.
    grew_down: bool,
    /// Whether its interval has taken in that of a vanished neighbour above it.
    grew_up: bool,
}

/// A separator in that list.
pub(super) enum Separator<'p> {
    /// A separator of the old page, counted from that page's prefix.
    Old(Suffix<'p>),
    /// A new separator, whole.
    New(Vec<u8>),
}

impl<'p> DraftChild<'p> {
    pub fn new(separator: Separator<'p>, ptr: Ptr, underfull: bool) -> DraftChild<'p> {
        DraftChild {
            separator,
            ptr,
            underfull,
            grew_down: false,
            grew_up: false,
        }
    }
}

impl BranchDraft<'_> {
    /// Returns the bytes of a page.
    pub fn page_size(&self) -> usize {
        self.old.bytes().len()
    }

    /// Returns the separator before child `i`, whole.
    pub fn separator<'s, S: PageSource<'s>>(&self, i: usize, source: &S) -> Result<Vec<u8>> {
        match &self.children[i].separator {
            Separator::New(bytes) => Error::or_copy(bytes, "a separator"),
            Separator::Old(suffix) => {
                let mut out = self.old.prefix().to_vec();
                suffix.write_whole(source, &mut out, None)?;
                Ok(out)
            }
        }
    }

    /// Returns the fences of some children together.
    pub fn fences_of<'s, S: PageSource<'s>>(&self, children: Range<usize>, source: &S) -> Result<Fences> {
        let low = match children.start {
            0 => fences::copy(&self.fences.low)?,
            start => fences::copy(&self.separator(start, source)?)?,
        };
        let high = match children.end < self.children.len() {
            true => Some(fences::copy(&self.separator(children.end, source)?)?),
            false => self.fences.high.as_deref().map(fences::copy).transpose()?,
        };
        Ok(Fences { low, high })
    }
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Takes those replies into the branch that change more than a pointer.
    pub(super) fn restructure(&mut self, branch: OpenBranch<'a>, fences: &Fences) -> Result<Reply> {
        let OpenBranch {
            mut node,
            level,
            mut changes,
        } = branch;
        if let [ChildChange {
            at,
            reply: Reply::Many(new_pages),
        }] = changes.as_slice()
        {
            let at = *at;
            if new_pages.is_empty() && branch_build::remove(self.make_private(&mut node), at) {
                // The change that is left is that of the neighbour, whose interval has grown.
                changes = vec![self.grow_neighbour(&mut node, level, at, fences)?];
            } else if !self.has_room_beside(&node, level, at, new_pages)?
                && self.split_in_place(&mut node, at, new_pages)
            {
                let ptr = self.close(node);
                return Ok(Reply::One { ptr, underfull: false });
            }
        }
        let only_underfull = changes.iter().all(|change| matches!(change.reply, Reply::One { .. }));
        if only_underfull && !self.is_any_joinable(&node, level, &changes)? {
            // The page can stay as it is, because it has all new pointers already.
            return self.stay(node);
        }
        let fill = fill_of(&changes, &node, fences);
        // Separators are borrowed of a copy of the page, because other private pages are changed meanwhile.
        let bytes = node.bytes.to_vec();
        let mut draft = BranchDraft {
            children: Vec::new(),
            old: branch_in(&bytes, &node.ptr)?,
            ptr: node.ptr,
            level,
            fences,
        };
        self.substitute(&mut draft, changes)?;
        if draft.children.is_empty() {
            self.discard(node);
            return Ok(Reply::none());
        }
        self.widen_grown(&mut draft)?;
        let joined = self.join_underfull(&mut draft)?;
        if only_underfull && !joined {
            return self.stay(node);
        }
        let new_pages = self.rebuild(&draft, fill)?;
        self.discard(node);
        Ok(Reply::of(new_pages))
    }

    /// Returns whether any child that has much room may be joined with others beside it.
    fn is_any_joinable(&self, node: &Node<'a>, level: u8, changes: &[ChildChange]) -> Result<bool> {
        let branch = node.branch()?;
        for change in changes {
            let (at, size) = (change.at, node.size());
            let underfull = matches!(change.reply, Reply::One { underfull: true, .. });
            let joinable = underfull
                && match level {
                    2 => self.is_joinable(&branch, at, size)?,
                    _ => self.is_branch_joinable(&branch, at, size)?,
                };
            if joinable {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives the interval of child `at` of a branch, which was taken out, to the child before it (the one behind, if
    /// it was the first). Returns what has become of that child.
    fn grow_neighbour(&mut self, node: &mut Node<'a>, level: u8, at: usize, fences: &Fences) -> Result<ChildChange> {
        let (at, edge) = match at.checked_sub(1) {
            Some(before) => (before, Edge::High),
            None => (0, Edge::Low),
        };
        let old = node.branch()?.ptr(at);
        let inner = fences.of_child(node, at, &self.source)?;
        let ptr = self.widen(old, level - 1, &inner, edge)?;
        if ptr != old {
            replace_ptr(self.make_private(node), at, &ptr);
        }
        // It is a new page anyway.
        let underfull = is_half_empty(self.used(&ptr)?, node.size());
        let reply = Reply::One { ptr, underfull };
        Ok(ChildChange { at, reply })
    }

    /// Leaves a branch as it is, with its new pointers.
    fn stay(&mut self, node: Node<'a>) -> Result<Reply> {
        let underfull = is_half_empty(node.branch()?.used(), node.size()) && node.is_private();
        let ptr = self.close(node);
        Ok(Reply::One { ptr, underfull })
    }

    /// Returns whether a leaf that was split, child `at` of the branch, has a neighbour with which its entries could
    /// share two leaves.
    fn has_room_beside(&self, node: &Node<'a>, level: u8, at: usize, new_pages: &[NewPage]) -> Result<bool> {
        let [first, second] = new_pages else {
            return Ok(false);
        };
        if level != 2 || !first.underfull || !second.underfull {
            return Ok(false);
        }
        self.is_half_joinable(&node.branch()?, at, [&first.ptr, &second.ptr], node.size())
    }

    /// Replaces child `at` by two new pages, if the page takes them as it is. Returns false if it does not; it has then
    /// one new pointer at most.
    fn split_in_place(&mut self, node: &mut Node<'a>, at: usize, new_pages: &[NewPage]) -> bool {
        let [first, second] = new_pages else {
            return false;
        };
        let page = self.make_private(node);
        replace_ptr(page, at, &first.ptr);
        // A page whose fences grew may not share its prefix with a new separator, and a long one needs pages of its
        // own.
        if is_long_separator(&second.separator, page.len()) || header::flags(page) & CHECK_PREFIX != 0 {
            return false;
        }
        let suffix = second.separator.get(header::prefix_len(page)..);
        suffix.is_some_and(|suffix| branch_build::insert(page, at + 1, &Suffix::of(suffix), &second.ptr))
    }

    /// Lists the children of the old branch, with the changed ones replaced.
    fn substitute(&mut self, draft: &mut BranchDraft<'_>, changes: Vec<ChildChange>) -> Result<()> {
        let (old, ptr, size) = (draft.old, draft.ptr, draft.page_size());
        let list = &mut draft.children;
        list.reserve(old.len() + 8);
        let mut changes = changes.into_iter().peekable();
        // Whether children before the first that is left have vanished. It takes over their intervals.
        let mut grew_down = false;
        for i in 0..old.len() {
            let separator = old.separator(i)?;
            let before = list.len();
            match changes.next_if(|change| change.at == i).map(|change| change.reply) {
                None => list.push(DraftChild::new(Separator::Old(separator), old.ptr(i), false)),
                Some(Reply::One { ptr, underfull }) => {
                    list.push(DraftChild::new(Separator::Old(separator), ptr, underfull))
                }
                Some(Reply::Many(new_pages)) if new_pages.is_empty() => {
                    release_rest(&separator, ptr.page, size, self.sink)?;
                    match list.last_mut() {
                        Some(left) => left.grew_up = true,
                        None => grew_down = true,
                    }
                }
                Some(Reply::Many(new_pages)) => {
                    // The first new page begins where the child began.
                    let mut first = Some(Separator::Old(separator));
                    list.extend(new_pages.into_iter().map(|new_page| {
                        let separator = first.take().unwrap_or(Separator::New(new_page.separator));
                        DraftChild::new(separator, new_page.ptr, new_page.underfull)
                    }));
                }
            }
            if let Some(first) = list.get_mut(before).filter(|_| grew_down) {
                first.grew_down = true;
                grew_down = false;
            }
        }
        debug_assert!(changes.peek().is_none(), "each reply is of a child, in order");
        Ok(())
    }

    /// Widens the children whose intervals have grown.
    fn widen_grown(&mut self, draft: &mut BranchDraft<'_>) -> Result<()> {
        for i in 0..draft.children.len() {
            let DraftChild { grew_down, grew_up, .. } = draft.children[i];
            let grown = [grew_down.then_some(Edge::Low), grew_up.then_some(Edge::High)];
            for edge in grown.into_iter().flatten() {
                let fences = draft.fences_of(i..i + 1, &self.source)?;
                draft.children[i].ptr = self.widen(draft.children[i].ptr, draft.level - 1, &fences, edge)?;
                if draft.level == 2 {
                    // It is a new page anyway.
                    let used = self.used(&draft.children[i].ptr)?;
                    draft.children[i].underfull |= is_half_empty(used, draft.page_size());
                }
            }
        }
        Ok(())
    }

    /// Makes the leaf on one edge of the subtree at `ptr`, whose interval has grown to `fences`, a leaf of this commit
    /// (I-28), and marks the pages on the edge where keys without their prefix may come. Returns the pointer to the
    /// subtree.
    fn widen(&mut self, ptr: Ptr, level: u8, fences: &Fences, edge: Edge) -> Result<Ptr> {
        let mut node = self.open(ptr, level)?;
        let too_long = header::prefix_len(&node.bytes) > fences.prefix_len();
        if level > 1 {
            let branch = node.branch()?;
            let at = match edge {
                Edge::Low => 0,
                Edge::High => branch.len() - 1,
            };
            let child = branch.ptr(at);
            let inner = fences.of_child(&node, at, &self.source)?;
            let new = self.widen(child, level - 1, &inner, edge)?;
            if new != child {
                replace_ptr(self.make_private(&mut node), at, &new);
            }
        }
        if level == 1 && node.ptr.birth != self.sink.birth() && !seeded::on(Bug::KeepWidened) {
            // I-28: a leaf whose interval grew is a new leaf, though its entries are the same.
            self.make_private(&mut node);
        }
        if too_long && header::flags(&node.bytes) & CHECK_PREFIX == 0 {
            mark_check_prefix(self.make_private(&mut node));
        }
        Ok(self.close(node))
    }

    /// Builds the pages of a branch from the list of its children.
    fn rebuild(&mut self, draft: &BranchDraft<'_>, fill: Fill) -> Result<Vec<NewPage>> {
        // All separators are counted from the prefix that is common to the page as it was and as its fences say now.
        let common = draft.old.prefix().len().min(draft.fences.prefix_len());
        let (prefix, lead) = draft.old.prefix().split_at(common);
        if let Some(Separator::Old(first)) = draft.children.first().map(|child| &child.separator) {
            // No separator stands before the first child, so one that it had is given up.
            release_rest(first, draft.ptr.page, draft.page_size(), self.sink)?;
        }
        let long = self.write_long_separators(&draft.children, common)?;
        let cutter = BranchCutter {
            children: &as_children(&draft.children, &long, lead, common, draft.page_size()),
            common: prefix,
            fences: draft.fences,
            level: draft.level,
            page_size: draft.page_size(),
        };
        self.pack_branches(&cutter, fill)
    }

    /// Builds the parents, at level `level`, of pages that have none. Returns one page or several.
    pub(super) fn build_branches(&mut self, new_pages: Vec<NewPage>, level: u8) -> Result<Vec<NewPage>> {
        let page_size = self.source.page_size();
        let children: Vec<DraftChild<'_>> = new_pages
            .into_iter()
            .map(|new_page| DraftChild::new(Separator::New(new_page.separator), new_page.ptr, false))
            .collect();
        let long = self.write_long_separators(&children, 0)?;
        let cutter = BranchCutter {
            children: &as_children(&children, &long, &[], 0, page_size),
            common: &[],
            fences: &Fences::whole(),
            level,
            page_size,
        };
        self.pack_branches(&cutter, Fill::Full)
    }

    /// Writes the rests of new separators that are long, in order.
    fn write_long_separators(&mut self, children: &[DraftChild<'_>], common: usize) -> Result<Vec<LongKey>> {
        let size = self.source.page_size();
        let mut written = Vec::new();
        for child in children.iter().skip(1) {
            if let Separator::New(bytes) = &child.separator {
                if is_long_separator(bytes, size) {
                    self.has_long = true;
                    written.push(write_rest(bytes, common, size, self.sink)?);
                }
            }
        }
        Ok(written)
    }
}

/// An edge of a subtree: its first or its last pages.
#[derive(Clone, Copy)]
enum Edge {
    Low,
    High,
}

/// How full the pages of a branch are made: to the brim if only the last child of the tree's right edge has split,
/// because then more comes behind it.
fn fill_of(changes: &[ChildChange], node: &Node<'_>, fences: &Fences) -> Fill {
    match changes {
        [ChildChange {
            at,
            reply: Reply::Many(_),
        }] if fences.is_open() && *at + 1 == header::count(&node.bytes) => Fill::Full,
        _ => Fill::WithRoom,
    }
}

/// Returns the list as a build takes it, with separators counted from `common` bytes of prefix. `long` has the new long
/// separators, in order.
fn as_children<'k>(
    list: &'k [DraftChild<'k>],
    long: &'k [LongKey],
    lead: &'k [u8],
    common: usize,
    page_size: usize,
) -> Vec<Child<'k>> {
    let mut long = long.iter();
    let mut children = Vec::with_capacity(list.len());
    for (i, child) in list.iter().enumerate() {
        let separator = match &child.separator {
            _ if i == 0 => Suffix::of(&[]),
            Separator::Old(suffix) => Suffix { lead, ..*suffix },
            Separator::New(bytes) => match is_long_separator(bytes, page_size).then(|| long.next()).flatten() {
                Some(written) => written.suffix(),
                None => Suffix::of(bytes.get(common..).unwrap_or(&[])),
            },
        };
        children.push(Child {
            separator,
            ptr: child.ptr,
        });
    }
    children
}
