//! The C interface of kv: `libkv.so`, `libkv.a`, `kv.h`.
//!
//! The only room where a C pointer exists. It translates and nothing else: check the arguments, find what the handle
//! stands for, call the engine, map the error. The files at the top are the chapters of the header, in its order. They
//! stand on two rooms:
//!
//! | room     | subject                                                                                       |
//! |----------|-----------------------------------------------------------------------------------------------|
//! | `border` | pointers and structs of the caller, status numbers, the guard around every exported function  |
//! | `handle` | the tokens that a program holds as pointers, and the objects behind them                      |
//!
//! Imports point one way: `border <- handle <- chapters`.
//!
//! Three rules are kept here. No panic crosses the border ([`border::error::guard`]). A pointer of the caller is
//! dereferenced only in `border::arg` and `border::types`, and only inside the call it was given to. A handle is never
//! dereferenced at all, because it is a token and not an address.
#![allow(non_camel_case_types, reason = "names are those of the header")]
#![allow(
    clippy::missing_safety_doc,
    reason = "what callers must keep to is in the header's conventions"
)]

pub mod border;
pub mod handle;

pub mod db;
pub mod txn;
pub mod waiting;

pub mod table;

pub mod entry;

pub mod count;
pub mod cursor;

pub mod batch;
pub mod packed;

pub mod retained;
pub mod value;
pub mod writer;

pub mod maintenance;
pub mod stat;
