//! Pages of trees: branches, leaves, leaves with items of fixed size, and sub-pages.

use crate::layout::Layout;

/// Kinds of pages.
pub(crate) mod kind {
    pub const BRANCH: u16 = 0x01;
    pub const LEAF: u16 = 0x02;
    pub const OVERFLOW: u16 = 0x04;
    pub const META: u16 = 0x08;
    /// Of a leaf: its items have one size.
    pub const FIXED: u16 = 0x20;
    /// Of a leaf: it lies in a node.
    pub const SUB: u16 = 0x40;
    /// All that say what a page is. Others are LMDB's notes to itself.
    pub const ALL: u16 = BRANCH | LEAF | OVERFLOW | META | FIXED | SUB;
}

/// Flags of nodes.
pub(crate) mod node {
    pub const OVERFLOW: u16 = 0x01;
    /// The value is the record of a tree.
    pub const TREE: u16 = 0x02;
    /// There are several values.
    pub const VALUES: u16 = 0x04;
    pub const ALL: u16 = OVERFLOW | TREE | VALUES;
}

/// Bytes of a node before its key.
const NODE: usize = 8;

/// The header of any page but a meta page.
pub(crate) struct Header {
    pub number: u64,
    pub kind: u16,
    item: usize,
    lower: usize,
    upper: usize,
    /// Of an overflow run.
    pub pages: u32,
}

impl Header {
    /// The header that the bytes begin with, if there are enough of them.
    pub fn at(layout: &Layout, bytes: &[u8]) -> Option<Header> {
        let end = layout.header();
        Some(Header {
            number: layout.word(bytes, 0)?,
            item: usize::from(layout.u16(bytes, end - 8)?),
            kind: layout.u16(bytes, end - 6)? & kind::ALL,
            lower: usize::from(layout.u16(bytes, end - 4)?),
            upper: usize::from(layout.u16(bytes, end - 2)?),
            pages: layout.u32(bytes, end - 4)?,
        })
    }
}

/// What kind of tree page a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Branch,
    Leaf,
    /// A leaf whose items have this size.
    Fixed(usize),
}

/// A page of a tree, or a sub-page, whose header was checked.
#[derive(Debug)]
pub(crate) struct Page {
    /// Of a sub-page: that of the page it lies in.
    pub number: u64,
    pub kind: Kind,
    /// Nodes or items.
    pub count: usize,
    /// Where nodes may begin.
    nodes: usize,
    bytes: Vec<u8>,
}

/// A node, all of whose parts lie in its page. The value of a leaf's node is not checked.
#[derive(Debug)]
pub(crate) struct Node<'p> {
    pub key: &'p [u8],
    /// Of a leaf.
    pub flags: u16,
    /// Of a leaf: bytes of the value.
    pub size: u32,
    /// Of a branch.
    pub child: u64,
    /// What follows the key, to the end of the page.
    pub rest: &'p [u8],
}

impl<'p> Node<'p> {
    /// The first bytes of the value, if the page has so many.
    pub fn value(&self, bytes: usize) -> Result<&'p [u8], String> {
        let value = self.rest.get(..bytes);
        value.ok_or_else(|| format!("a value of {bytes} bytes goes beyond the end of the page"))
    }
}

impl Page {
    /// Checks the header of a page of a tree. The bytes end where a checksum begins.
    pub fn tree(layout: &Layout, number: u64, bytes: Vec<u8>) -> Result<Page, String> {
        let header = Header::at(layout, &bytes).ok_or("it is shorter than a header")?;
        if header.number != number {
            return Err(format!("it says that it is page {}", header.number));
        }
        Page::parse(layout, number, bytes, &header)
    }

    /// Checks the header of a sub-page.
    pub fn sub_page(layout: &Layout, number: u64, bytes: Vec<u8>) -> Result<Page, String> {
        let header = Header::at(layout, &bytes).ok_or("a sub-page is shorter than a header")?;
        if header.kind & kind::SUB == 0 || header.kind & kind::LEAF == 0 {
            return Err(format!(
                "a value that should be a sub-page has flags {:#x}",
                header.kind
            ));
        }
        let header = Header {
            kind: header.kind & !kind::SUB,
            ..header
        };
        Page::parse(layout, number, bytes, &header)
    }

    fn parse(layout: &Layout, number: u64, bytes: Vec<u8>, header: &Header) -> Result<Page, String> {
        let first = layout.header() - layout.base();
        let &Header {
            kind,
            item,
            lower,
            upper,
            ..
        } = header;
        if lower < first {
            return Err(format!("its array of nodes ends at {lower}, before it begins"));
        }
        let count = (lower - first) / 2;
        let kind = match kind {
            kind::BRANCH => Kind::Branch,
            kind::LEAF => Kind::Leaf,
            _ if kind == kind::LEAF | kind::FIXED => Kind::Fixed(item),
            kind => return Err(format!("it is no page of a tree (flags {kind:#x})")),
        };
        let nodes = upper + layout.base();
        match kind {
            Kind::Fixed(item) if item == 0 || count * item > bytes.len() - layout.header() => {
                return Err(format!("it cannot have {count} items of {item} bytes"));
            }
            Kind::Fixed(_) => {}
            _ if lower > upper || nodes > bytes.len() => {
                return Err(format!("its free space goes from {lower} to {upper}"));
            }
            Kind::Branch if count == 0 => return Err("it is a branch without children".to_string()),
            _ => {}
        }
        Ok(Page {
            number,
            kind,
            count,
            nodes,
            bytes,
        })
    }

    /// The node of an index below `count`, of a branch or a leaf without items.
    pub fn node(&self, layout: &Layout, index: usize) -> Result<Node<'_>, String> {
        let outside = || format!("node {index} does not lie inside the page");
        let offset = layout
            .u16(&self.bytes, layout.header() + 2 * index)
            .ok_or_else(outside)?;
        let at = usize::from(offset) + layout.base();
        if at < self.nodes {
            return Err(format!("node {index} lies in front of all nodes"));
        }
        let size = layout.u32(&self.bytes, at).ok_or_else(outside)?;
        let flags = layout.u16(&self.bytes, at + 4).ok_or_else(outside)?;
        let length = usize::from(layout.u16(&self.bytes, at + 6).ok_or_else(outside)?);
        let key = self.bytes.get(at + NODE..at + NODE + length).ok_or_else(outside)?;
        let end = at
            + NODE
            + if self.kind == Kind::Branch {
                length
            } else {
                layout.key_room(length)
            };
        let high = if layout.wide { u64::from(flags) << 32 } else { 0 };
        let child = u64::from(size) | high;
        Ok(Node {
            key,
            flags,
            size,
            child,
            rest: self.bytes.get(end..).unwrap_or_default(),
        })
    }

    /// The item of an index below `count`, or the key of a node if the items have no fixed size.
    pub fn item(&self, layout: &Layout, index: usize) -> Result<&[u8], String> {
        let Kind::Fixed(item) = self.kind else {
            return self.node(layout, index).map(|node| node.key);
        };
        let at = layout.header() + index * item;
        self.bytes
            .get(at..at + item)
            .ok_or_else(|| format!("item {index} does not lie inside the page"))
    }
}
