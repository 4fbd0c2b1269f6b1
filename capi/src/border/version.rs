//! Which library this is.

use std::ffi::c_char;

/// A number out of the text of the version, computed while compiling.
const fn number(text: &str, part: usize) -> u32 {
    let bytes = text.as_bytes();
    let (mut i, mut dots, mut value) = (0, 0, 0);
    while i < bytes.len() {
        if bytes[i] == b'.' {
            dots += 1;
        } else if dots == part && bytes[i].is_ascii_digit() {
            value = value * 10 + (bytes[i] - b'0') as u32;
        } else if !bytes[i].is_ascii_digit() {
            break;
        }
        i += 1;
    }
    value
}

/// Returns the version of the library at run time, "major.minor.patch". KV_VERSION is the version of the header that a
/// program was compiled with.
///
/// @return Static text, never NULL.
/// @ingroup kv_errors
#[no_mangle]
pub extern "C" fn kv_version() -> *const c_char {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    TEXT.as_ptr().cast()
}

/// Returns the version of the library at run time as a number, as KV_VERSION_NUMBER is that of the header.
///
/// @return major * 1000000 + minor * 1000 + patch.
/// @ingroup kv_errors
#[no_mangle]
pub extern "C" fn kv_version_number() -> u32 {
    const TEXT: &str = env!("CARGO_PKG_VERSION");
    number(TEXT, 0) * 1_000_000 + number(TEXT, 1) * 1_000 + number(TEXT, 2)
}
