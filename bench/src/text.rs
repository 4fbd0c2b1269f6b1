//! Real text: every word of the text files below a directory, with its position. The same word comes up again and
//! again, some much more often than others, and keys have their lengths from life.

use crate::keys::Keys;
use std::path::{Path, PathBuf};

/// Where the texts are.
const ROOT: &str = "/usr/share";
/// Larger files are not text that somebody wrote.
const LARGEST: u64 = 4 << 20;

/// Files below a directory, in an order that is the same each time.
fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => files(&path, out),
            Ok(metadata) if metadata.is_file() && metadata.len() <= LARGEST => out.push(path),
            _ => {}
        }
    }
}

/// At most `wanted` keys: a word, a zero byte, number of the file and offset in it, 4 bytes each, big-endian.
pub fn words(wanted: usize, keys: &mut Keys) {
    let (mut paths, mut key) = (Vec::new(), Vec::new());
    files(Path::new(ROOT), &mut paths);
    for (number, path) in paths.iter().enumerate() {
        let Ok(text) = std::fs::read(path) else { continue };
        if text.contains(&0) || std::str::from_utf8(&text).is_err() {
            continue;
        }
        let mut at = 0;
        for word in text.split(|byte| !byte.is_ascii_alphanumeric()) {
            if (1..=64).contains(&word.len()) {
                key.clear();
                key.extend_from_slice(word);
                key.push(0);
                key.extend_from_slice(&(number as u32).to_be_bytes());
                key.extend_from_slice(&(at as u32).to_be_bytes());
                keys.push(&key);
                if keys.len() == wanted {
                    return;
                }
            }
            at += word.len() + 1;
        }
    }
    assert!(keys.len() >= 1000, "there are too few texts below {ROOT}");
}
