//! What a step costs: in proportion to the edges whose ends changed, not to the graph.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::Capacities;
use pintle::ident::SlotId;
use std::time::{Duration, Instant};

/// Layers of services, each needing `fan` of the layer before; a bundle holds the last layer.
fn layers(layers: usize, width: usize, fan: usize) -> String {
    let mut text = String::from("boot: type = bundle; contains =");
    for at in 0..width {
        text += &format!(" l{:03}x{at:03}", layers - 1);
    }
    text += "\n";
    for layer in 0..layers {
        for at in 0..width {
            text += &format!("l{layer:03}x{at:03}:");
            if layer > 0 {
                text += "needs =";
                for other in 0..fan {
                    text += &format!(" l{:03}x{:03}", layer - 1, (at + other) % width);
                }
            }
            text += "\n";
        }
    }
    text
}

/// Boots and shuts down, and gives the engine's own time for the boot.
fn boot(depth: usize, width: usize, fan: usize) -> Duration {
    let image_bytes = super::world::database(&layers(depth, width, fan));
    let image = pintle::database::Image::open(image_bytes).expect("compiled");
    let mut world = World::over(image_bytes, Capacities::of(&image));
    let mut spent = Duration::ZERO;
    let begun = Instant::now();
    world.boot("boot");
    spent += begun.elapsed();
    while let Some(at) = world.unseen.keys().next().copied() {
        let slot = SlotId(at);
        let order = world.unseen.remove(&at).expect("just seen");
        world.stamp += 2;
        let row = &mut world.reports[slot.index()];
        (row.order, row.attempt, row.state) = (order.number, 1, State::Up);
        (row.began, row.ready) = (world.stamp - 1, world.stamp);
        let begun = Instant::now();
        world.tell(slot);
        spent += begun.elapsed();
    }
    assert_eq!(world.engine.boot().state, 2, "everything is up");
    let begun = Instant::now();
    let one = SlotId(image.services() / 2);
    world.reports[one.index()].restarts += 1;
    world.tell(one);
    println!("{depth} x {width} x {fan}: boot {spent:?}, a report that changes nothing {:?}", begun.elapsed());
    spent
}

#[test]
fn a_boot_costs_in_proportion_to_its_edges() {
    let small = boot(10, 20, 10);
    let large = boot(40, 50, 10);
    // Ten times the services and edges; a cost that grew with the graph's size at each step would be a hundred times.
    assert!(large < small * 40, "{small:?} for 200 services, {large:?} for 2,000");
}

/// For measuring, with optimisation: `PINTLE_COST=1 cargo test --release --test pure cost -- --nocapture`.
#[test]
fn what_large_boots_cost() {
    if std::env::var_os("PINTLE_COST").is_some() {
        boot(100, 100, 10);
        boot(10, 100, 100);
    }
}
