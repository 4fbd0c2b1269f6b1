//! A good file and ways to break it, by what docs/format.md says of its bytes. Nothing of this asks the engine.

use crate::common::image::{HEIGHT, ROOTS};
use crate::common::rng::Rng;
use crate::common::tmp::TempDir;
use kv::{Cursor, Db, Options, PutMode, Range, Result, TableId, WriteOptions, WriteTxn};
use std::path::Path;
use std::sync::OnceLock;

pub mod history;
mod image;
pub mod pages;
pub mod sentences;
pub mod tables;

pub use image::{Image, Kind};

/// Who refuses a file, and in which words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By {
    /// Opening says that the file is older, newer, or damaged in these words.
    Older(&'static str),
    Newer(&'static str),
    Open(&'static str),
    /// A check finds it, in these words.
    Check(&'static str),
}
/// A sentence of the text, how it is broken, and who answers.
pub type Mutation = (&'static str, fn(&mut Image), By);

/// How many long values the base has, all of one length.
pub const LONG_VALUES: usize = 3;
/// The tables of the base that have entries, the main one first, and one that has none. All but the first have notes.
pub const MAIN_TABLES: [&[u8]; 4] = [b"", b"first", b"second", b"third"];

pub fn note(name: &[u8]) -> Vec<u8> {
    [b"note of ", name].concat()
}

/// The text of docs/format.md with single blanks between words.
pub fn quoted() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format.md");
    let text = std::fs::read_to_string(path).expect("the format");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A closed database of all kinds of pages and entries, whose ids are less than 120.
pub fn base() -> Image {
    static BASE: OnceLock<Image> = OnceLock::new();
    BASE.get_or_init(|| build().expect("a database")).clone()
}

fn build() -> Result<Image> {
    let dir = TempDir::new("mutation-base");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default())?;
    let mut rng = Rng::new(11);
    let mut txn = db.begin_write(WriteOptions::default())?;
    for i in 0..600u32 {
        let url = format!("https://www.example.com/category/{}/item-{i:05}", i % 5);
        txn.put(TableId::MAIN, url.as_bytes(), &rng.bytes(60), PutMode::Set)?;
        txn.put(TableId::MAIN, &rng.bytes(16), &rng.bytes(20), PutMode::Set)?;
    }
    for i in 0..40u8 {
        txn.put(
            TableId::MAIN,
            &[i, 1 + i % 2][..1 + usize::from(i % 2)],
            b"short",
            PutMode::Set,
        )?;
    }
    for i in 0..4u8 {
        let key = [&[b'l'; 3700][..], &[i; 300]].concat();
        txn.put(TableId::MAIN, &key, &[i; 10], PutMode::Set)?;
    }
    for i in 0..LONG_VALUES {
        txn.put(
            TableId::MAIN,
            format!("value {i}").as_bytes(),
            &rng.bytes(20_000),
            PutMode::Set,
        )?;
    }
    for name in &MAIN_TABLES[1..] {
        let table = txn.table_create(name, true)?;
        txn.table_set_note(table, &note(name))?;
        for i in 0..400u64 {
            match *name {
                b"first" => {
                    let url = format!("https://www.example.com/category/{}/item-{i:05}", i % 5);
                    txn.put(table, url.as_bytes(), &rng.bytes(60), PutMode::Set)?;
                }
                // Seven bytes: numbers that are padded.
                b"second" if i < 100 => txn.put(table, &i.to_be_bytes()[1..], &i.to_le_bytes(), PutMode::Set)?,
                _ => {}
            }
        }
    }
    txn.commit()?;
    let keys = main_keys(&db)?;
    for _ in 0..100 {
        let mut txn = db.begin_write(WriteOptions::default())?;
        for _ in 0..12 {
            txn.put(
                TableId::MAIN,
                &keys[rng.index(keys.len())],
                &rng.bytes(40),
                PutMode::NoInsert,
            )?;
        }
        for i in 0..LONG_VALUES {
            txn.put(
                TableId::MAIN,
                format!("value {i}").as_bytes(),
                &rng.bytes(20_000),
                PutMode::Set,
            )?;
        }
        txn.commit()?;
        let image = Image {
            bytes: std::fs::read(&path).expect("read"),
        };
        if image.number(image.slots()[0] + ROOTS[2] + HEIGHT, 1) > 0 {
            break;
        }
    }
    drop(db);
    let image = Image {
        bytes: std::fs::read(&path).expect("read"),
    };
    assert!(
        image.has_all_kinds() && image.id() < 110,
        "the base lacks something: commit {}",
        image.id()
    );
    Ok(image)
}

/// Section 13 of the text.
fn fingerprint(key: &[u8]) -> u8 {
    let mix = |x: u64| {
        let p = u128::from(x) * 0xD6E8_FEB8_6659_FD93;
        p as u64 ^ (p >> 64) as u64
    };
    let mut h = (key.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for group in key[..key.len().min(256)].chunks(8) {
        let mut word = [0; 8];
        word[..group.len()].copy_from_slice(group);
        h = mix(h ^ u64::from_le_bytes(word));
    }
    (h ^ (h >> 29)) as u8
}

/// The keys of the main table.
pub fn main_keys(db: &Db) -> Result<Vec<Vec<u8>>> {
    let read = db.begin_read()?;
    let txn = &mut &read;
    let mut cursor = Cursor::new(txn, TableId::MAIN, &Range::default())?;
    let mut keys = Vec::new();
    while cursor.next(txn)? {
        keys.push(cursor.key().to_vec());
    }
    Ok(keys)
}

pub fn first_key(txn: &mut WriteTxn, table: TableId) -> Result<Vec<u8>> {
    let mut cursor = Cursor::new(txn, table, &Range::default())?;
    assert!(cursor.first(txn)?);
    Ok(cursor.key().to_vec())
}
