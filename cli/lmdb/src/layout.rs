//! How numbers and headers are laid out: what depends on version, word size and byte order.

/// The number that every meta page has.
pub(crate) const MAGIC: u32 = 0xBEEF_C0DE;
/// The data version of builds before 1.0 was released.
pub(crate) const DATA_VERSION_BEFORE_1_0: u32 = 2;

/// The LMDB that wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 0.9: data version 1.
    V0_9,
    /// 1.0: data version 3.
    V1_0,
}

impl Version {
    /// Returns the number that the file has for this version.
    pub fn data_version(self) -> u32 {
        match self {
            Version::V0_9 => 1,
            Version::V1_0 => 3,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Version::V0_9 => "0.9",
            Version::V1_0 => "1.0",
        })
    }
}

/// The byte order of the machine that wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant byte comes first.
    Little,
    /// The most significant byte comes first.
    Big,
}

/// What the layout of a file depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub version: Version,
    pub order: ByteOrder,
    /// Whether words have 8 bytes instead of 4.
    pub wide: bool,
}

impl Layout {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Layout> {
        let versions = [Version::V0_9, Version::V1_0].into_iter();
        versions.flat_map(|version| {
            [ByteOrder::Little, ByteOrder::Big]
                .into_iter()
                .flat_map(move |order| [true, false].map(|wide| Layout { version, order, wide }))
        })
    }

    /// Bytes of a word.
    pub fn word_bytes(&self) -> usize {
        if self.wide {
            8
        } else {
            4
        }
    }

    /// Bytes of a page header.
    pub fn header(&self) -> usize {
        match self.version {
            Version::V0_9 => self.word_bytes() + 8,
            Version::V1_0 => 2 * self.word_bytes() + 8,
        }
    }

    /// Where the offsets of a page count from.
    pub fn base(&self) -> usize {
        match self.version {
            Version::V0_9 => 0,
            Version::V1_0 => self.header(),
        }
    }

    /// Bytes of the record of a database.
    pub fn record(&self) -> usize {
        8 + 5 * self.word_bytes()
    }

    /// The largest page.
    pub fn page_size_max(&self) -> u32 {
        match self.version {
            Version::V0_9 => 0x8000,
            Version::V1_0 => 0x1_0000,
        }
    }

    /// Bytes that a key of a leaf takes.
    pub fn key_room(&self, key: usize) -> usize {
        match self.version {
            Version::V0_9 => key,
            Version::V1_0 => key.next_multiple_of(2),
        }
    }

    /// The name of a database, from the key of its record.
    pub fn name(&self, mut key: Vec<u8>) -> Vec<u8> {
        if self.version == Version::V1_0 && key.last() == Some(&0) {
            key.pop();
        }
        key
    }

    /// Bytes of what a node says of an overflow run.
    pub fn overflow_reference(&self) -> usize {
        match self.version {
            Version::V0_9 => self.word_bytes(),
            Version::V1_0 => 3 * self.word_bytes(),
        }
    }

    /// The number at an offset, if the bytes go so far.
    pub fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self.order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        })
    }

    /// See [`Layout::u16`].
    pub fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        })
    }

    /// See [`Layout::u16`].
    pub fn word(&self, bytes: &[u8], at: usize) -> Option<u64> {
        if !self.wide {
            return self.u32(bytes, at).map(u64::from);
        }
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self.order {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        })
    }

    /// The word that stands for no page.
    pub fn no_page(&self) -> u64 {
        if self.wide {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        }
    }
}
