//! The one binary: its own `main` (std's start-up may abort before ours), then dispatch on the name it was called by.

#![cfg_attr(not(test), no_main)]

#[path = "../applets/mod.rs"]
mod applets;
mod host;
mod sys;

/// C entry point, called by libc's start code.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn main(count: i32, arguments: *const *const u8, environment: *const *const u8) -> i32 {
    // SAFETY: libc's start code passed these.
    let arguments = unsafe { sys::entry::begin(count, arguments, environment) };
    applets::main(arguments)
}
