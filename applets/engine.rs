//! `pintle engine`: the engine's process. The supervisor starts it; by hand it has nothing to work with.

use super::{Applet, Family, Words};
use crate::host;
use crate::sys::process;

pub static APPLET: Applet = Applet {
    name: "engine",
    family: Family::Machine,
    summary: "decides what is to be up; started by the supervisor",
    usage: "",
    help: "Knows the dependencies, and tells the supervisor what is to run. The supervisor\n\
           starts it with the descriptors it needs, and starts it again if it dies.\n",
    options: &[],
    more: "",
    words: Words::Raw,
    run: |_| {
        process::set_name(c"pintle-engine");
        Ok(host::engine::run())
    },
};
