//! A database file as bytes, and ways to break it.

use super::{fingerprint, MAIN_TABLES};
use crate::common::image::{repair, HEIGHT, INLINE, RECORDS, ROOT, ROOTS, SLOT, SPILLS};
use std::collections::BTreeMap;

const PAGE: usize = 4096;
const HEADER: usize = 24;

/// The three kinds of tree pages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Slotted = 1,
    Dense = 2,
    Branch = 3,
}

/// A database file.
#[derive(Clone)]
pub struct Image {
    pub bytes: Vec<u8>,
}

/// A number as records have it.
fn leb(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Where the parts of a record of a slotted leaf are.
struct Record {
    at: usize,
    s: usize,
    long_key: bool,
    z: usize,
    long_value: bool,
    /// Where the description of a long key's rest begins, or the value if it is not long.
    behind_key: usize,
    value: usize,
}

pub(super) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

impl Image {
    pub fn repair(&mut self) {
        repair(&mut self.bytes);
    }

    pub(super) fn number(&self, at: usize, bytes: usize) -> u64 {
        let mut whole = [0; 8];
        whole[..bytes].copy_from_slice(&self.bytes[at..at + bytes]);
        u64::from_le_bytes(whole)
    }

    fn set(&mut self, at: usize, bytes: usize, value: u64) {
        self.bytes[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    // ---- slots

    /// Where the slots are that count, the newest first.
    pub(super) fn slots(&self) -> Vec<usize> {
        let mut slots: Vec<usize> = (0..4).map(|i| i * SLOT).filter(|at| self.bytes[*at] == 0x89).collect();
        slots.sort_by_key(|at| std::cmp::Reverse(self.number(at + 48, 8)));
        slots
    }

    pub(super) fn id(&self) -> u64 {
        self.number(self.slots()[0] + 48, 8)
    }

    pub fn slot(&mut self, at: usize, bytes: &[u8]) {
        let slot = self.slots()[0];
        self.put(slot + at, bytes);
    }

    pub fn slot_byte(&mut self, at: usize, byte: u8) {
        self.slot(at, &[byte]);
    }

    /// Sets a byte of every slot.
    pub fn both(&mut self, at: usize, byte: u8) {
        for slot in self.slots() {
            self.bytes[slot + at] = byte;
        }
    }

    pub fn add(&mut self, at: usize, n: u64) {
        let at = self.slots()[0] + at;
        self.set(at, 8, self.number(at, 8) + n);
    }

    /// Puts the commit's own id into another field.
    pub fn id_at(&mut self, at: usize) {
        self.slot(at, &self.id().to_le_bytes());
    }

    pub fn same_id(&mut self) {
        let (slots, id) = (self.slots(), self.id());
        self.set(slots[1] + 48, 8, id);
    }

    /// Replaces the inline records. The base has no others.
    pub fn records(&mut self, records: impl FnOnce(u8) -> Vec<u8>) {
        let slot = self.slots()[0];
        assert_eq!(self.number(slot + SPILLS, 2), 0, "the base has spilled records");
        let records = records(self.id() as u8);
        self.bytes[slot + RECORDS..slot + SLOT - 4].fill(0);
        self.set(slot + INLINE, 2, records.len() as u64);
        self.put(slot + RECORDS, &records);
    }

    /// Names an extent with spilled records, of which these are the first bytes.
    pub fn spill(&mut self, extent: &[u8]) {
        let slot = self.slots()[0];
        let end = RECORDS + self.number(slot + INLINE, 2) as usize;
        self.bytes.copy_within(slot + RECORDS..slot + end, slot + RECORDS + 24);
        self.bytes[slot + RECORDS..slot + RECORDS + 24].fill(0);
        self.put(slot + RECORDS, extent);
        self.bytes[slot + SPILLS] = 1;
    }

    /// A page that was written once and is in use: the root of the table "second".
    fn used_page(&self) -> u64 {
        self.number(self.record_of(MAIN_TABLES[2]).value, 6)
    }

    /// Frees a page that is in use.
    pub fn free_a_used_page(&mut self) {
        let page = self.used_page();
        self.records(|id| [vec![id, 0, 1], leb(page), vec![2, 0, 0]].concat());
    }

    /// Takes that page.
    pub fn take_a_used_page(&mut self) {
        let page = self.used_page();
        self.records(|id| [vec![id, 0, 0, 1], leb(page), vec![1]].concat());
    }

    /// Frees the first page of the space tree's longest extent once more.
    pub fn free_a_dead_page(&mut self) {
        let page = self.number(self.longest_dead().0, 8);
        self.records(|id| [vec![id, 0, 1], leb(page), vec![2, 0, 0]].concat());
    }

    // ---- pages

    /// Where the pages of the tree below a root are.
    fn tree(&self, root: usize) -> Vec<usize> {
        match self.number(root + HEIGHT, 1) {
            0 => Vec::new(),
            _ => self.below(self.number(root, 6)),
        }
    }

    fn below(&self, page: u64) -> Vec<usize> {
        let at = page as usize * PAGE;
        let mut pages = vec![at];
        if self.bytes[at] == 3 {
            let n = self.count(at);
            pages.extend((0..n).flat_map(|i| self.below(self.number(at + HEADER + 4 * n + 6 * i, 6))));
        }
        pages
    }

    fn count(&self, page: usize) -> usize {
        self.number(page + 4, 2) as usize
    }

    /// The pages of the main table and of the named ones.
    fn pages(&self) -> Vec<usize> {
        let mut pages = self.tree(self.slots()[0] + ROOTS[0]);
        for name in &MAIN_TABLES[1..3] {
            pages.extend(self.tree(self.record_of(name).value));
        }
        pages
    }

    /// The first page of a kind for which `is` holds.
    fn find(&self, kind: Kind, is: impl Fn(usize) -> bool) -> usize {
        let found = self
            .pages()
            .into_iter()
            .find(|page| self.bytes[*page] == kind as u8 && is(*page));
        found.unwrap_or_else(|| panic!("the base has no such page: {kind:?}"))
    }

    pub fn has_all_kinds(&self) -> bool {
        let has = |kind: Kind| self.pages().iter().any(|page| self.bytes[*page] == kind as u8);
        let space = self.tree(self.slots()[0] + ROOTS[2]);
        has(Kind::Slotted) && has(Kind::Dense) && has(Kind::Branch) && !space.is_empty()
    }

    pub fn page(&mut self, kind: Kind, at: usize, byte: u8) {
        let page = self.find(kind, |_| true);
        self.bytes[page + at] = byte;
    }

    pub fn page_add(&mut self, kind: Kind, at: usize, n: u64) {
        let at = self.find(kind, |_| true) + at;
        self.set(at, 2, self.number(at, 2) + n);
    }

    pub fn prefix(&mut self) {
        let page = self.find(Kind::Slotted, |page| self.bytes[page + 2] > 0);
        let prefix = page + PAGE - usize::from(self.bytes[page + 2]);
        self.bytes[prefix] ^= 1;
    }

    /// Swaps the heads of two neighbours that differ, the first one of a branch left out.
    pub fn swap_heads(&mut self, kind: Kind) {
        let page = self.find(kind, |_| true);
        let head = |i: usize| page + HEADER + 4 * i;
        let differ = |i: &usize| self.number(head(*i), 4) != self.number(head(i + 1), 4);
        let i = (1..self.count(page) - 1).find(differ).expect("heads that differ");
        (0..4).for_each(|byte| self.bytes.swap(head(i) + byte, head(i + 1) + byte));
    }

    // ---- slotted leaves

    fn record(&self, page: usize, i: usize) -> Record {
        let n = self.count(page);
        let at = page + self.number(page + HEADER + 5 * n + 2 * i, 2) as usize;
        let (s, z) = (self.number(at, 2) as usize, self.number(at + 2, 2) as usize);
        let behind_key = at + 4 + (s & 0x3FFF).saturating_sub(4);
        Record {
            at,
            s: s & 0x3FFF,
            long_key: s & 0x8000 != 0,
            z: z & 0x7FFF,
            long_value: z & 0x8000 != 0,
            behind_key,
            value: behind_key + if s & 0x8000 != 0 { 24 } else { 0 },
        }
    }

    /// The records of all slotted leaves of the main table: page, number and record.
    fn main_records(&self) -> Vec<(usize, usize, Record)> {
        let pages = self.tree(self.slots()[0] + ROOTS[0]);
        let leaves = pages.into_iter().filter(|page| self.bytes[*page] == 1);
        leaves
            .flat_map(|page| (0..self.count(page)).map(move |i| (page, i)))
            .map(|(page, i)| (page, i, self.record(page, i)))
            .collect()
    }

    fn main_record(&self, is: impl Fn(&Record) -> bool) -> (usize, usize, Record) {
        let found = self.main_records().into_iter().find(|(_, _, record)| is(record));
        found.expect("such a record")
    }

    pub fn same_record(&mut self) {
        let page = self.find(Kind::Slotted, |page| self.count(page) > 1);
        let offsets = page + HEADER + 5 * self.count(page);
        self.bytes.copy_within(offsets + 2..offsets + 4, offsets);
    }

    pub fn fingerprint(&mut self) {
        let page = self.find(Kind::Slotted, |_| true);
        let at = page + HEADER + 4 * self.count(page);
        self.bytes[at] ^= 1;
    }

    /// Sets the last byte of a head that is longer than its suffix.
    pub fn head_padding(&mut self) {
        let (page, i, _) = self.main_record(|record| record.s < 4);
        self.bytes[page + HEADER + 4 * i] = 1;
    }

    /// Sets bits of the lengths of a record.
    pub fn lengths(&mut self, at: usize, bits: u8) {
        let (_, _, record) = self.main_record(|record| record.s > 4 && !record.long_key && !record.long_value);
        self.bytes[record.at + at] |= bits;
    }

    /// Changes the description of a long key's rest.
    pub fn rest(&mut self, at: usize, bytes: &[u8]) {
        let (_, _, record) = self.main_record(|record| record.long_key);
        self.put(record.behind_key + at, bytes);
    }

    pub fn long_key_suffix(&mut self) {
        let (_, _, record) = self.main_record(|record| record.long_key);
        self.set(record.at, 1, (record.s as u64 - 1) & 0xFF);
    }

    /// Changes the description of a long value.
    pub fn chain(&mut self, at: usize, bytes: &[u8]) {
        let (_, _, record) = self.main_record(|record| record.long_value);
        self.put(record.value + at, bytes);
    }

    /// Makes two long values lie in the same pages.
    pub fn same_chain(&mut self) {
        let records = self.main_records();
        let mut long = records.iter().filter(|(_, _, record)| record.long_value);
        let (a, b) = (long.next().expect("one"), long.next().expect("another"));
        assert_eq!(a.2.z, b.2.z);
        self.bytes.copy_within(a.2.value..a.2.value + a.2.z, b.2.value);
    }

    // ---- dense leaves

    pub fn swap_elements(&mut self) {
        let page = self.find(Kind::Dense, |_| true);
        let c = usize::from(self.bytes[page + 11]);
        (0..c).for_each(|byte| self.bytes.swap(page + HEADER + byte, page + HEADER + c + byte));
    }

    /// Halves the width of the elements.
    pub fn element(&mut self) {
        let page = self.find(Kind::Dense, |_| true);
        self.bytes[page + 11] /= 2;
    }

    pub fn element_padding(&mut self) {
        let page = self.find(Kind::Dense, |page| self.bytes[page + 10] < self.bytes[page + 11]);
        self.bytes[page + HEADER] = 1;
    }

    // ---- branches

    /// Where the field of child 1 is that begins `before` bytes a child behind the header.
    fn field_of_child(&self, before: usize) -> usize {
        let page = self.find(Kind::Branch, |_| true);
        page + HEADER + before * self.count(page) + 6
    }

    pub fn child(&mut self, before: usize, bytes: &[u8]) {
        let at = self.field_of_child(before);
        self.put(at, bytes);
    }

    pub fn child_byte(&mut self, before: usize, byte: usize, value: u8) {
        let at = self.field_of_child(before) + byte;
        self.bytes[at] = value;
    }

    pub fn child_add(&mut self, before: usize) {
        let at = self.field_of_child(before);
        self.set(at, 6, self.number(at, 6) + 1);
    }

    /// Makes child 1 the page that child 0 is.
    pub fn same_child(&mut self) {
        for before in [4, 10, 16] {
            let at = self.field_of_child(before);
            self.bytes.copy_within(at - 6..at, at);
        }
    }

    pub fn first_separator(&mut self, before: usize) {
        let page = self.find(Kind::Branch, |_| true);
        let at = page + HEADER + before * self.count(page);
        self.bytes[at] = 1;
    }

    /// A branch with a separator for whose offset `is` holds, and the number of that.
    fn separator(&self, is: impl Fn(u64) -> bool) -> (usize, usize) {
        let number = |page: usize| {
            let n = self.count(page);
            (1..n).find(|i| is(self.number(page + HEADER + 22 * n + 2 * i, 2)))
        };
        let page = self.find(Kind::Branch, |page| number(page).is_some());
        (page, number(page).expect("it was found"))
    }

    pub fn separator_padding(&mut self) {
        let (page, i) = self.separator(|offset| (1..4).contains(&offset));
        self.bytes[page + HEADER + 4 * i] = 1;
    }

    pub fn separator_length(&mut self, bits: u8) {
        let (page, i) = self.separator(|offset| offset > 4);
        let at = page + HEADER + 22 * self.count(page) + 2 * i;
        let record = page + self.number(at, 2) as usize;
        self.bytes[record + 1] |= bits;
    }

    /// A branch with second heads, and its first separator that has one.
    fn second(&self) -> (usize, usize) {
        let page = self.find(Kind::Branch, |page| self.bytes[page + 3] & 2 != 0);
        let n = self.count(page);
        let has = |i: &usize| self.number(page + HEADER + 28 * n + 4 * i, 4) != 0;
        (page, (0..n).find(has).expect("a second head"))
    }

    pub fn second_head(&mut self) {
        let (page, i) = self.second();
        let at = page + HEADER + 28 * self.count(page) + 4 * i;
        self.bytes[at] ^= 1;
    }

    pub fn second_head_of_the_first(&mut self) {
        let (page, _) = self.second();
        let at = page + HEADER + 28 * self.count(page);
        self.bytes[at] = 1;
    }

    pub fn run_prefix(&mut self) {
        let (page, i) = self.second();
        let at = page + HEADER + 32 * self.count(page) + i;
        self.bytes[at] ^= 1;
    }

    /// Gives the children of a branch 8 more bytes each, which mean nothing.
    pub fn extra_bytes(&mut self) {
        let room = |page: usize| {
            let each = if self.bytes[page + 3] & 2 != 0 { 33 } else { 28 };
            let arrays = HEADER + (each + 8) * self.count(page);
            PAGE - usize::from(self.bytes[page + 2]) - self.number(page + 6, 2) as usize >= arrays
        };
        let page = self.find(Kind::Branch, room);
        let each = if self.bytes[page + 3] & 2 != 0 { 33 } else { 28 };
        let (at, n) = (page + HEADER + each * self.count(page), self.count(page));
        self.bytes[at..at + 8 * n].fill(0xEE);
        self.bytes[page + 10] = 1;
        self.bytes[page + 3] |= 0x10;
    }

    // ---- the catalogue and the space tree

    /// The leaf of the catalogue, which is its root.
    pub fn catalogue(&self) -> usize {
        let root = self.slots()[0] + ROOTS[1];
        assert_eq!(self.number(root + HEIGHT, 1), 1, "the catalogue is one leaf");
        self.number(root, 6) as usize * PAGE
    }

    /// The record of a table in the catalogue.
    fn record_of(&self, name: &[u8]) -> Record {
        let leaf = self.catalogue();
        let records = (0..self.count(leaf)).map(|i| self.record(leaf, i));
        let mut named = records.filter(|record| {
            let length = self.number(record.value + 24, 2) as usize;
            self.bytes[record.value + 30..record.value + 30 + length] == *name
        });
        named.next().expect("the table")
    }

    /// Changes the record of the table "first".
    pub fn record_bytes(&mut self, at: usize, bytes: &[u8]) {
        let at = self.record_of(MAIN_TABLES[1]).value + at;
        self.put(at, bytes);
    }

    /// The entries of a slotted leaf without prefix and without long ones.
    pub(super) fn entries(&self, page: usize) -> Entries {
        assert_eq!(
            (self.bytes[page], self.bytes[page + 2]),
            (1, 0),
            "a leaf without a prefix"
        );
        let mut entries = Entries::new();
        for i in 0..self.count(page) {
            let record = self.record(page, i);
            assert!(!record.long_key && !record.long_value);
            let head = (self.number(page + HEADER + 4 * i, 4) as u32).to_be_bytes();
            let key = [&head[..record.s.min(4)], &self.bytes[record.at + 4..record.behind_key]].concat();
            entries.insert(key, self.bytes[record.value..record.value + record.z].to_vec());
        }
        entries
    }

    /// Rebuilds such a leaf from changed entries.
    pub(super) fn edit_leaf(&mut self, page: usize, change: impl FnOnce(&mut Entries)) {
        let mut entries = self.entries(page);
        change(&mut entries);
        self.bytes[page + HEADER..page + PAGE].fill(0);
        let (n, mut at) = (entries.len(), PAGE);
        for (i, (key, value)) in entries.iter().enumerate() {
            let mut head = [0; 4];
            head[..key.len().min(4)].copy_from_slice(&key[..key.len().min(4)]);
            let remainder = key.get(4..).unwrap_or(&[]);
            at -= 4 + remainder.len() + value.len();
            self.set(page + HEADER + 4 * i, 4, u32::from_be_bytes(head).into());
            self.bytes[page + HEADER + 4 * n + i] = fingerprint(key);
            self.set(page + HEADER + 5 * n + 2 * i, 2, at as u64);
            self.set(page + at, 2, key.len() as u64);
            self.set(page + at + 2, 2, value.len() as u64);
            self.put(page + at + 4, &[remainder, value].concat());
        }
        assert!(HEADER + 7 * n <= at, "more than a leaf");
        self.set(page + 4, 2, n as u64);
        self.set(page + 6, 2, (PAGE - at) as u64);
        self.set(page + 8, 2, 0);
    }

    /// Takes the record of a table out of the catalogue, and puts back what it becomes.
    fn edit_record(&mut self, name: &[u8], change: impl FnOnce(Vec<u8>, Vec<u8>) -> (Vec<u8>, Vec<u8>)) {
        let record = self.record_of(name);
        let value = self.bytes[record.value..record.value + record.z].to_vec();
        let leaf = self.catalogue();
        self.edit_leaf(leaf, |entries| {
            let key = entries
                .iter()
                .find(|(_, v)| **v == value)
                .expect("the record")
                .0
                .clone();
            let value = entries.remove(&key).expect("the record");
            let (key, value) = change(key, value);
            entries.insert(key, value);
        });
    }

    /// Files the record of the table "first" under another number.
    pub fn record_key(&mut self, number: u64) {
        self.edit_record(MAIN_TABLES[1], |_, value| (number.to_be_bytes().to_vec(), value));
    }

    /// Gives the table "first" an extension.
    pub fn extension(&mut self, extension: &[u8]) {
        self.edit_record(MAIN_TABLES[1], |key, mut value| {
            let at = 30 + MAIN_TABLES[1].len();
            value.splice(at..at, extension.iter().copied());
            value[28..30].copy_from_slice(&(extension.len() as u16).to_le_bytes());
            (key, value)
        });
    }

    /// Makes the record of the empty table that of a table without a name, and removes the name from the list.
    pub fn become_record_of(&mut self, number: u64, kind: u8) {
        let name = MAIN_TABLES[3];
        self.edit_record(name, |_, mut value| {
            assert!(value[..ROOT].iter().all(|byte| *byte == 0), "the table is not empty");
            value.drain(30..30 + name.len());
            (value[24], value[25], value[26]) = (0, 0, kind);
            (number.to_be_bytes().to_vec(), value)
        });
        // The list of names has no name either.
        let list = self.record_of(b"").value;
        let list = match self.number(list + HEIGHT, 1) {
            0 => self.record_of_list(),
            _ => list,
        };
        let leaf = self.number(list, 6) as usize * PAGE;
        self.edit_leaf(leaf, |entries| {
            entries.remove(name).expect("the name");
        });
        self.set(list + 12, 6, self.number(list + 12, 6) - 1);
    }

    /// Where the record of the list of names is: that without a name whose tree is not empty.
    pub fn record_of_list(&self) -> usize {
        let leaf = self.catalogue();
        let mut records = (0..self.count(leaf)).map(|i| self.record(leaf, i).value);
        let is_list = |at: &usize| self.number(at + 24, 2) == 0 && self.number(at + HEIGHT, 1) > 0;
        records.find(is_list).expect("the list of names")
    }

    /// Where the key and the value of the longest extent of the first leaf of the space tree are.
    fn longest_dead(&self) -> (usize, usize) {
        let pages = self.tree(self.slots()[0] + ROOTS[2]);
        let leaf = pages
            .into_iter()
            .find(|page| self.bytes[*page] == 2)
            .expect("a dense leaf");
        let n = self.count(leaf);
        let shape = (self.bytes[leaf + 10], self.bytes[leaf + 11], self.number(leaf + 12, 2));
        assert_eq!(shape, (8, 8, 16), "whole keys");
        let places = (0..n).map(|i| (leaf + HEADER + 8 * i, leaf + HEADER + 8 * n + 16 * i));
        places
            .max_by_key(|(_, value)| self.number(*value, 4) & 0x7FFF_FFFF)
            .expect("an extent")
    }

    /// Changes the entry of that extent. Its fields are counted through key and value: 0 page, 8 pages, 12 birth, 18
    /// death. Of the key only the first byte can be changed, which is the last one of the number.
    pub fn dead(&mut self, field: usize, change: impl FnOnce(u64) -> u64) {
        let (key, value) = self.longest_dead();
        let (at, bytes) = match field {
            0 => (key + 7, 1),
            8 => (value, 4),
            12 => (value + 4, 6),
            _ => (value + 10, 6),
        };
        self.set(at, bytes, change(self.number(at, bytes)));
    }
}
