//! The words of a line. Blanks divide them, and quotation marks keep blanks in one word. A backslash stays where it is,
//! with what follows it: keys and values are read with their escapes later. `\"` and `\'` therefore end no quotation.

/// A word, and where it is in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes, without quotation marks.
    pub bytes: Vec<u8>,
    /// Where it begins, quotation mark included.
    pub begin: usize,
}

/// Returns the words of a line, and whether the last one is still open: a quotation that does not end.
pub fn split(line: &[u8]) -> (Vec<Word>, bool) {
    let mut words: Vec<Word> = Vec::new();
    let (mut word, mut quote): (Option<Word>, Option<u8>) = (None, None);
    let mut at = 0;
    while at < line.len() {
        let byte = line[at];
        if quote.is_none() && byte.is_ascii_whitespace() {
            words.extend(word.take());
            at += 1;
            continue;
        }
        let word = word.get_or_insert(Word {
            bytes: Vec::new(),
            begin: at,
        });
        match byte {
            b'\\' => {
                let escape = &line[at..line.len().min(at + 2)];
                word.bytes.extend_from_slice(escape);
                at += escape.len();
                continue;
            }
            b'"' | b'\'' if quote.is_none() => quote = Some(byte),
            _ if quote == Some(byte) => quote = None,
            _ => word.bytes.push(byte),
        }
        at += 1;
    }
    words.extend(word);
    (words, quote.is_some())
}

/// Returns text with escapes as a word that [`split`] reads back: blanks and quotation marks are escapes as well.
pub fn typed(escaped: &str) -> String {
    let mut out = String::new();
    for c in escaped.chars() {
        match c {
            ' ' => out.push_str("\\x20"),
            '"' | '\'' => out.extend(['\\', c]),
            '-' | '@' if out.is_empty() => out.extend(['\\', c]),
            '#' if out.is_empty() => out.push_str("\\x23"),
            _ => out.push(c),
        }
    }
    match out.is_empty() {
        true => "\"\"".to_string(),
        false => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::bytes::from_text;
    use crate::output::text::escaped;

    fn words(line: &str) -> Vec<String> {
        let (words, is_open) = split(line.as_bytes());
        assert!(!is_open, "{line}");
        words
            .into_iter()
            .map(|word| String::from_utf8(word.bytes).expect("UTF-8"))
            .collect()
    }

    #[test]
    fn blanks_divide_and_quotation_marks_keep() {
        assert_eq!(words("  put  a\t'b c' \"it's\" "), ["put", "a", "b c", "it's"]);
        assert_eq!(
            words(r#"get "" a"b c"d \" "\"" \\ \x20"#),
            ["get", "", "ab cd", "\\\"", "\\\"", "\\\\", "\\x20"]
        );
        assert!(words(" \t").is_empty());
        for open in ["get 'a", "get \"a\\\"", "'"] {
            assert!(split(open.as_bytes()).1, "{open}");
        }
        assert_eq!(split(b"get  \"a b").0[1].begin, 5);
    }

    #[test]
    fn what_is_completed_is_read_back() {
        for bytes in [
            &b"a b"[..],
            b"",
            b"\"'",
            b"-x",
            b"@x",
            b"#",
            b"\\",
            b"\xff\n ",
            "é".as_bytes(),
        ] {
            let line = format!("get {}", typed(&escaped(bytes).to_string()));
            let (words, is_open) = split(line.as_bytes());
            assert!(!is_open && words.len() == 2, "{line}");
            assert_eq!(from_text(&words[1].bytes).as_deref(), Ok(bytes), "{line}");
        }
    }
}
