//! The engine: its world for tests, and the tests by kind.

pub mod world;

mod anyof;
mod anyof_needs;
mod anyof_states;
mod conditions;
mod cost;
mod derived;
mod events;
mod explore;
mod fine_print;
mod grid;
mod holds;
mod instances;
mod journal;
mod limits;
mod order;
mod overlap;
mod reference;
mod relations;
mod skipped;
mod stuck;
mod switch;
mod transactions;
mod why;
