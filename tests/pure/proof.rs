//! The proofs of the engine by themselves, for `make check`, `make explore`, `make sim` and `make mutants`: the modules of the
//! pure tests that look at whole worlds, built optimised and with every check (profile `simulate`). `cargo test` runs
//! the same in `tests/pure/main.rs`, smaller.

mod engine {
    mod explore;
    mod grid;
    mod order;
    #[allow(dead_code)] // what the other tests of the engine use
    mod world;
}
mod simulate;
mod supervision;
