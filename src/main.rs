//! The one binary: its own `main` (std's start-up may abort before ours), then dispatch on the name it was called by.

#![cfg_attr(not(test), no_main)]

#[path = "../applets/mod.rs"]
mod applets;
mod host;
mod sys;

sys::entry::program!(applets::main);
