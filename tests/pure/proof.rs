//! The proofs of the engine by themselves, for `make check`, `make explore`, `make sim` and `make mutants`: the modules
//! of the pure tests that look at whole worlds, and those of the semantics line by line, built optimised and with every
//! check (profile `simulate`). `cargo test` runs the same in `tests/pure/main.rs`, smaller.

mod engine {
    mod events;
    mod explore;
    mod fine_print;
    mod grid;
    mod order;
    mod relations;
    mod transactions;
    #[allow(dead_code)] // what the other tests of the engine use
    mod world;
}
mod simulate;
mod supervision;
