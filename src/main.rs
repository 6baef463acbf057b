//! The one binary: its own `main` (std's start-up may abort before ours), then dispatch on the name it was called by.

#![no_main]

#[path = "../applets/mod.rs"]
mod applets;
mod host;
mod sys;

/// C entry point, called by libc's start code.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    0
}
