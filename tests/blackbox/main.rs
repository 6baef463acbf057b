//! The real binary with real processes, each test on a machine of its own in a temporary directory. The binary is
//! `$PINTLE_BIN`, else the one that cargo has built. Tests wait for states, never for time.

mod access;
mod anyof;
mod apart;
mod attempts;
mod bare;
mod boot;
mod cgroups;
mod clients;
mod compile;
mod control;
mod daemons;
mod demo;
mod directories;
mod environment;
mod events;
mod forking;
mod harness;
mod hostile;
mod journal;
mod limits;
mod logs;
mod manners;
mod policy;
mod recovery;
mod robustness;
mod setup;
mod shortage;
mod sockets;
mod strays;
mod supervisor;
mod surroundings;
mod switch;
mod waiting;
mod watched;
