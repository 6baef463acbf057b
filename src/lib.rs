//! Everything of pintle that decides: text, database, board, graph, engine, supervision policy, protocol.
//!
//! It knows no system: no clock, no system call, no process. Time, randomness and the outside come in as arguments.
//! `lang` and `database::compile` allocate (they run before a boot, as an administrator's tools); nothing else does.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod access;
pub mod access_file;
pub mod board;
pub mod crc32;
pub mod database;
pub mod engine;
pub mod env_file;
pub mod expand;
pub mod fact;
pub mod glob;
pub mod graph;
pub mod ident;
pub mod lang;
pub mod limits;
pub mod names;
pub mod nearest;
pub mod packed;
pub mod protocol;
pub mod setup;
pub mod signals;
pub mod simulation;
pub mod stamp;
pub mod status;
pub mod supervision;
pub mod text;
pub mod time;
pub mod words;
