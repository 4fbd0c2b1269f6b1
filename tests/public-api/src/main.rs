//! `kv-public-api RUSTDOC.JSON` prints the public items of a crate, one in a line, and what is implemented for them.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(json) = std::env::args_os().nth(1) else {
        eprintln!("usage: kv-public-api RUSTDOC.JSON");
        return ExitCode::from(2);
    };
    // What is implemented for every type is no property of these.
    match public_api::Builder::from_rustdoc_json(json).omit_blanket_impls(true).build() {
        Ok(api) => {
            print!("{api}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("kv-public-api: {error}");
            ExitCode::FAILURE
        }
    }
}
