//! Long output on a terminal goes through the user's pager, as soon as it is longer than the screen.

use std::fs::File;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// A terminal, and the pager that shows what does not fit on it.
pub struct Paged {
    terminal: File,
    /// What was written until it was too long for the screen.
    waiting: Vec<u8>,
    lines: usize,
    rows: usize,
    pager: Option<Child>,
}

impl Paged {
    /// Returns a terminal with this many rows.
    pub fn new(terminal: File, rows: usize) -> Paged {
        Paged {
            terminal,
            waiting: Vec::new(),
            lines: 0,
            rows,
            pager: None,
        }
    }
}

/// Returns the command of the pager, or `None` if the user wants none or has none.
fn command() -> Option<String> {
    match std::env::var("PAGER") {
        Ok(pager) => Some(pager).filter(|pager| !matches!(pager.trim(), "" | "cat")),
        Err(_) => {
            let folders = std::env::var_os("PATH")?;
            let is_there = std::env::split_paths(&folders).any(|folder| folder.join("less").is_file());
            is_there.then(|| "less".to_string())
        }
    }
}

fn start() -> Option<Child> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command()?).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Colours stay, the text stays on the screen, and what fits on the screen needs no key to end.
        shell.env("LESS", "FRX");
    }
    shell.spawn().ok()
}

impl Write for Paged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pager.is_none() && self.lines < self.rows {
            self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
            self.waiting.extend_from_slice(bytes);
            if self.lines >= self.rows {
                self.pager = start();
                let waiting = std::mem::take(&mut self.waiting);
                match self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) {
                    Some(pager) => pager.write_all(&waiting)?,
                    None => self.terminal.write_all(&waiting)?,
                }
            }
            return Ok(bytes.len());
        }
        match self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) {
            Some(pager) => pager.write(bytes),
            None => self.terminal.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.terminal.write_all(&std::mem::take(&mut self.waiting))
    }
}

impl Drop for Paged {
    fn drop(&mut self) {
        // What could not be written was reported when the command finished its output.
        let _ = self.flush();
        if let Some(mut pager) = self.pager.take() {
            drop(pager.stdin.take());
            let _ = pager.wait();
        }
    }
}
