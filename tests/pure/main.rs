//! Tests of the library alone: no process, no file but the sources.

mod database;
mod engine;
mod lang;
mod manual;
mod roundtrip;
mod simulate;
mod simulation;
mod status;
mod supervision;
mod tidy;
