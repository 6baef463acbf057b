//! Passes build-time capacities (PINTLE_SLOTS_MAX and its kin, see src/limits.rs) to the compiler and rebuilds when they change.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["PINTLE_SLOTS_MAX", "PINTLE_INSTANCES_MAX", "PINTLE_CONDITIONS_MAX", "PINTLE_EDGES_MAX"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
}
