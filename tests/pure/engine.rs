//! The engine: its world for tests, and the tests by kind.

mod world;

mod events;
mod explore;
mod instances;
mod relations;
mod transactions;
