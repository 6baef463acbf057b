//! `pintle engine`: the engine's process. The supervisor starts it; by hand it has nothing to work with.

use super::options::Given;
use crate::host;
use crate::sys::process;

pub fn run(_: &Given) -> i32 {
    process::set_name(c"pintle-engine");
    host::engine::run()
}
