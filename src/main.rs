//! The one binary: its own beginning, then dispatch on the name it was called by.

#![cfg_attr(not(test), no_std, no_main)]

extern crate alloc;

#[path = "../applets/mod.rs"]
mod applets;
mod host;
mod sys;

// For memcpy(3) and its kin, which the compiler calls.
#[link(name = "c")]
unsafe extern "C" {}

sys::entry::program!(applets::main);
