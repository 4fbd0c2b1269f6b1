//! Pointers of the caller -> slices, paths, outputs, options and reports.
//!
//! A caller's pointer is dereferenced here and in `types`, and nowhere else. Everything is checked that can be: NULL
//! where something is needed, lengths beyond the limits, sizes of structs from older and newer programs.

use crate::border::status::{Failure, Outcome, KV_INVALID};
use kv_engine::Error;
use std::ffi::{c_char, c_void, CStr, OsStr};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

/// What a caller gives with a length, for the one check of lengths that there is: its name in messages, and how much
/// of it there may be at most.
#[derive(Clone, Copy)]
pub(crate) struct Given {
    name: &'static str,
    most: usize,
}

impl Given {
    pub(crate) const KEY: Given = Given::bytes("key", kv_engine::KEY_MAX as u64);
    pub(crate) const VALUE: Given = Given::bytes("value", kv_engine::VALUE_MAX);
    pub(crate) const NAME: Given = Given::bytes("name", kv_engine::NAME_MAX as u64);
    pub(crate) const SNAPSHOT: Given = Given::bytes("begin: `snapshot`", kv_engine::NAME_MAX as u64);
    pub(crate) const NOTE: Given = Given::bytes("note", kv_engine::NOTE_MAX as u64);
    pub(crate) const FROM: Given = Given::bytes("range: key `from`", kv_engine::KEY_MAX as u64);
    pub(crate) const TO: Given = Given::bytes("range: key `to`", kv_engine::KEY_MAX as u64);
    pub(crate) const PREFIX: Given = Given::bytes("range: key `prefix`", kv_engine::KEY_MAX as u64);
    pub(crate) const BATCH: Given = Given::bytes("batch: `bytes`", u32::MAX as u64);
    /// What is only written to, as far as there is something to write.
    pub(crate) const BUFFER: Given = Given::bytes("buffer", u64::MAX);

    const fn bytes(name: &'static str, most: u64) -> Given {
        // No object of the caller is larger than half of the address space, whatever the limit of the database is.
        let most = if most < isize::MAX as u64 {
            most as usize
        } else {
            isize::MAX as usize
        };
        Given { name, most }
    }

    /// An array of so many elements of this size.
    pub(crate) const fn array(name: &'static str, size: usize) -> Given {
        let most = isize::MAX as usize / if size == 0 { 1 } else { size };
        Given {
            name,
            most: if most < ARRAY_MAX { most } else { ARRAY_MAX },
        }
    }

    /// Checks pointer and length, before anything is read: `KV_TOO_BIG`, or `KV_INVALID` for a length without a
    /// pointer.
    #[inline(always)]
    pub(crate) fn check<T>(self, data: *const T, len: usize) -> Outcome {
        if len > self.most || (data.is_null() && len != 0) {
            return Err(self.refuse(len));
        }
        Ok(())
    }

    /// Returns the empty string for (NULL, 0), and refuses everything else.
    #[cold]
    #[inline(never)]
    fn none<'a>(self, data: *const c_void, len: usize) -> Outcome<&'a [u8]> {
        self.check(data, len).map(|()| [].as_slice())
    }

    /// Checks a length that comes without a pointer.
    pub(crate) fn check_len(self, len: usize) -> Outcome {
        match len > self.most {
            true => Err(self.refuse(len)),
            false => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(self, len: usize) -> Failure {
        if len > self.most {
            return Failure::Engine(Error::TooBig {
                what: self.name,
                size: len as u64,
                limit: self.most as u64,
            });
        }
        let message = format!(
            "{}: the pointer is NULL but the length is not 0; (NULL, 0) is empty",
            self.name
        );
        Failure::Here(KV_INVALID, message.into())
    }
}

/// How many elements an array may have.
const ARRAY_MAX: usize = i32::MAX as usize;

/// Returns bytes of the caller. (NULL, 0) is an empty string.
///
/// # Safety
/// `data` is NULL or spans `len` bytes that nobody changes while the call runs.
#[inline(always)]
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize, given: Given) -> Outcome<&'a [u8]> {
    if len > given.most || data.is_null() {
        return given.none(data, len);
    }
    // SAFETY: not NULL, length in range; the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// Returns a key of the caller.
///
/// # Safety
/// As [`bytes`].
#[inline(always)]
pub(crate) unsafe fn key<'a>(data: *const c_void, len: usize) -> Outcome<&'a [u8]> {
    // SAFETY: passed on.
    unsafe { bytes(data, len, Given::KEY) }
}

/// Returns a value of the caller.
///
/// # Safety
/// As [`bytes`].
#[inline(always)]
pub(crate) unsafe fn value<'a>(data: *const c_void, len: usize) -> Outcome<&'a [u8]> {
    // SAFETY: passed on.
    unsafe { bytes(data, len, Given::VALUE) }
}

/// Returns a path of the caller; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL or a C string that nobody changes while the call runs.
pub(crate) unsafe fn path<'a>(pointer: *const c_char) -> Option<&'a Path> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL; the caller promises a C string.
    Some(Path::new(OsStr::from_bytes(
        unsafe { CStr::from_ptr(pointer) }.to_bytes(),
    )))
}

/// Copies a value or struct of the caller; NULL is refused with the message `null`.
///
/// # Safety
/// `pointer` is NULL or points to a `T`.
pub(crate) unsafe fn input<T: Copy>(pointer: *const T, null: &'static str) -> Outcome<T> {
    if pointer.is_null() {
        return Err(Failure::invalid(null));
    }
    // SAFETY: not NULL; the caller promises the rest.
    Ok(unsafe { pointer.read() })
}

/// A buffer of the caller that is to be filled. It may hold anything, so it is not a slice.
pub(crate) struct Buffer {
    data: *mut u8,
    /// Its size in bytes.
    pub(crate) len: usize,
}

/// Returns a buffer of the caller. (NULL, 0) is an empty one.
///
/// # Safety
/// `data` is NULL or spans `len` writable bytes that nothing else uses while the call runs.
pub(crate) unsafe fn buffer(data: *mut c_void, len: usize) -> Outcome<Buffer> {
    Given::BUFFER.check(data, len)?;
    Ok(Buffer { data: data.cast(), len })
}

impl Buffer {
    /// Copies `bytes` to `at`. The caller of this has compared the lengths; a mistake there is caught here.
    #[inline(always)]
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> Outcome {
        if self.copy_in(at, bytes) {
            Ok(())
        } else {
            Err(Failure::too_small(at + bytes.len(), self.len))
        }
    }

    /// Copies `bytes` to `at`, if there is room; tells whether there was.
    #[inline(always)]
    pub(crate) fn copy_in(&mut self, at: usize, bytes: &[u8]) -> bool {
        if self.len < bytes.len() || at > self.len - bytes.len() {
            return false;
        }
        if bytes.len() == 8 {
            // SAFETY: as below; both sides span 8 bytes. Read before written, so they may overlap. A number is moved in
            // a register: calling the C library for it costs more than the rest of a scan's step.
            unsafe {
                let word = bytes.as_ptr().cast::<u64>().read_unaligned();
                self.data.add(at).cast::<u64>().write_unaligned(word);
            }
        } else if !bytes.is_empty() {
            // SAFETY: the range is inside the buffer (just checked), which `buffer` promises to be writable; the source
            // may be memory of the library that the caller passes back, so the regions may overlap.
            unsafe { std::ptr::copy(bytes.as_ptr(), self.data.add(at), bytes.len()) }
        }
        true
    }

    /// Copies a block to `at`, if there is room; tells whether there was.
    #[inline(always)]
    pub(crate) fn put_block<const N: usize>(&mut self, at: usize, block: &[u8; N]) -> bool {
        if self.len < N || at > self.len - N {
            return false;
        }
        // SAFETY: the range is inside the buffer (just checked), which `buffer` promises to be writable; the block is
        // moved in registers, read before it is written.
        unsafe { self.data.add(at).cast::<[u8; N]>().write(*block) }
        true
    }

    /// Returns the buffer as a slice to read into. Its bytes are zeroed first, since they may never have been written.
    pub(crate) fn zeroed(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: `buffer` promises `len` writable bytes used by nothing else; after the zeroing they are initialised.
        unsafe {
            std::ptr::write_bytes(self.data, 0, self.len);
            std::slice::from_raw_parts_mut(self.data, self.len)
        }
    }
}

/// Where a result goes. It is never NULL, and is written at most once, at the end of a successful call.
pub(crate) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// Writes the result.
    #[inline(always)]
    pub(crate) fn set(&self, value: T) {
        // SAFETY: `out` and `maybe` make an Out from a pointer that the caller promises to be writable.
        unsafe { self.0.write(value) }
    }
}

/// Returns an output that must be given. `name` is that of the parameter.
///
/// # Safety
/// `pointer` is NULL or writable until the call ends.
#[inline(always)]
pub(crate) unsafe fn out<T>(pointer: *mut T, name: &'static str) -> Outcome<Out<T>> {
    match NonNull::new(pointer) {
        Some(pointer) => Ok(Out(pointer)),
        None => Err(no_output(name)),
    }
}

#[cold]
fn no_output(name: &str) -> Failure {
    let message = format!("the output `{name}` is NULL; give it the address of a variable");
    Failure::Here(KV_INVALID, message.into())
}

/// Returns an output that may be NULL.
///
/// # Safety
/// As [`out`].
#[inline(always)]
pub(crate) unsafe fn maybe<T>(pointer: *mut T) -> Option<Out<T>> {
    NonNull::new(pointer).map(Out)
}

/// Where a new handle goes: NULL at once, so that it is NULL after a failure.
///
/// # Safety
/// As [`out`].
pub(crate) unsafe fn handle_out<T>(pointer: *mut *mut T, name: &'static str) -> Outcome<Out<*mut T>> {
    // SAFETY: passed on from the caller.
    let handle = unsafe { out(pointer, name)? };
    handle.set(std::ptr::null_mut());
    Ok(handle)
}

/// A struct that may grow: it starts with its size in bytes as the caller's header knew it.
///
/// # Safety
/// `repr(C)`, first field `struct_size: u32`, and all zero bytes are a value of it.
pub(crate) unsafe trait Growing: Copy {}

/// Most bytes of a struct. What claims to be larger is garbage.
const LARGEST: usize = 4096;

/// Returns whether a struct of some version can have this size. Each has fields of 4 and of 8 bytes.
fn is_plausible(size: usize, least: usize) -> bool {
    (least..=LARGEST).contains(&size) && size % 4 == 0
}

/// Returns the name of a struct in C.
fn name_of<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    path.rsplit("::").next().unwrap_or(path)
}

/// Refuses a struct whose size cannot be right, and says by which constant it is set.
#[cold]
fn no_size<T>(size: usize) -> Failure {
    let name = name_of::<T>();
    let what = match size {
        0 => "is not set".to_string(),
        size => format!("is {size}, which is the size of no version of it"),
    };
    let message = format!("{name}: struct_size {what} (use {}_INIT)", name.to_uppercase());
    Failure::Here(KV_INVALID, message.into())
}

/// Returns options of the caller. NULL means all defaults. A smaller (older) struct is completed with zeros; a larger
/// (newer) one is accepted only if what this library does not know is zero.
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as its first field says.
pub(crate) unsafe fn options<T: Growing>(pointer: *const T) -> Outcome<T> {
    // SAFETY: zero bytes are a value of a Growing struct.
    let mut value: T = unsafe { std::mem::zeroed() };
    if pointer.is_null() {
        return Ok(value);
    }
    // SAFETY: not NULL, and every Growing struct starts with its size.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    if !is_plausible(size, 4) {
        return Err(no_size::<T>(size));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's struct has `size` bytes, ours size_of::<T>(); `known` is the lesser.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), known) }
    for at in known..size {
        // SAFETY: at < size, all of which the caller promises to be readable.
        if unsafe { pointer.cast::<u8>().add(at).read() } != 0 {
            return Err(Failure::invalid(
                "options: set by a program made for a newer version of this library; clear the new fields or upgrade",
            ));
        }
    }
    Ok(value)
}

/// Refuses a struct to be filled that is not there.
#[cold]
fn no_struct<T>() -> Failure {
    let name = name_of::<T>();
    let message = format!("the {name} to be filled is NULL; give it the address of a struct");
    Failure::Here(KV_INVALID, message.into())
}

/// Where a report goes: a struct of the caller whose size was checked. It is written at the end of a successful call.
pub(crate) struct ReportOut<T> {
    struct_of_caller: NonNull<T>,
    size: usize,
}

impl<T: Growing> ReportOut<T> {
    /// Fills the report, as far as the caller knows the struct; what only the caller knows becomes zero.
    pub(crate) fn set(&self, value: T) {
        let known = self.size.min(size_of::<T>());
        // SAFETY: both structs span `known` bytes, and the caller's spans `size` writable ones until the call ends, as
        // the caller of `report_out` promised; the size field itself is left alone.
        unsafe {
            let (from, to) = (
                (&raw const value).cast::<u8>(),
                self.struct_of_caller.as_ptr().cast::<u8>(),
            );
            std::ptr::copy_nonoverlapping(from.add(4), to.add(4), known - 4);
            std::ptr::write_bytes(to.add(known), 0, self.size - known);
        }
    }
}

/// Returns where a report of the caller goes, for a call that must not begin if it cannot be filled.
///
/// # Safety
/// `pointer` is NULL or points to as many bytes as its first field says, which are writable until the call ends.
pub(crate) unsafe fn report_out<T: Growing>(pointer: *mut T) -> Outcome<ReportOut<T>> {
    let Some(struct_of_caller) = NonNull::new(pointer) else {
        return Err(no_struct::<T>());
    };
    // SAFETY: not NULL, and every Growing struct starts with its size.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    match is_plausible(size, 8) {
        true => Ok(ReportOut { struct_of_caller, size }),
        false => Err(no_size::<T>(size)),
    }
}

/// Fills a report of the caller, as far as the caller knows the struct; what only the caller knows becomes zero.
///
/// # Safety
/// `pointer` is NULL or points to as many writable bytes as its first field says.
pub(crate) unsafe fn report<T: Growing>(pointer: *mut T, value: T) -> Outcome {
    // SAFETY: passed on.
    unsafe { report_out(pointer)? }.set(value);
    Ok(())
}

/// Returns an array of the caller. (NULL, 0) is an empty one.
///
/// # Safety
/// `data` is NULL or points to `len` initialised elements that nobody changes while the call runs.
pub(crate) unsafe fn array<'a, T>(data: *const T, len: usize, name: &'static str) -> Outcome<&'a [T]> {
    Given::array(name, size_of::<T>()).check(data, len)?;
    if data.is_null() {
        return Ok(&[]);
    }
    // SAFETY: not NULL, length in range; the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// An array of the caller that is to be filled.
pub(crate) struct OutArray<T> {
    data: *mut T,
    /// How many elements it has.
    pub(crate) len: usize,
}

impl<T> OutArray<T> {
    /// Writes an element.
    #[inline(always)]
    pub(crate) fn set(&mut self, at: usize, value: T) {
        assert!(at < self.len, "element beyond the caller's array");
        // SAFETY: inside the array that `out_array` promises to be writable.
        unsafe { self.data.add(at).write(value) }
    }
}

/// Returns an array that is to be filled. (NULL, 0) is an empty one.
///
/// # Safety
/// `data` is NULL or points to `len` writable elements.
pub(crate) unsafe fn out_array<T>(data: *mut T, len: usize, name: &'static str) -> Outcome<OutArray<T>> {
    Given::array(name, size_of::<T>()).check(data, len)?;
    Ok(OutArray { data, len })
}
