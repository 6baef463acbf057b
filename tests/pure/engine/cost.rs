//! What a step costs: in proportion to the edges whose ends changed, not to the graph.

use super::world::World;
use pintle::board::reports::State;
use pintle::engine::{Capacities, Standing};
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

/// Boots, by itself or by a command that is followed to its end, and gives the engine's own time for it.
fn boot(depth: usize, width: usize, fan: usize, followed: bool) -> Duration {
    let image_bytes = super::world::database(&layers(depth, width, fan));
    let image = pintle::database::Image::open(image_bytes).expect("compiled");
    let mut world = World::over(image_bytes, Capacities::of(&image));
    let mut spent = Duration::ZERO;
    let begun = Instant::now();
    let number = if followed { world.start("boot") } else { 0 };
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
    if followed {
        assert_eq!(world.standing(number), Standing::Done);
        let mut cursor = 0;
        let listed = std::iter::from_fn(|| world.engine.transaction_next(number, &mut cursor)).count();
        assert_eq!(listed, depth * width + 1, "the bundle and all that it pulls up");
    }
    let begun = Instant::now();
    let one = SlotId(image.services() / 2);
    world.reports[one.index()].restarts += 1;
    world.tell(one);
    let how = if followed { "start, followed" } else { "boot" };
    println!("{depth} x {width} x {fan}: {how} {spent:?}, a report that changes nothing {:?}", begun.elapsed());
    spent
}

#[test]
fn a_boot_costs_in_proportion_to_its_edges() {
    for followed in [false, true] {
        let small = boot(10, 20, 10, followed);
        let large = boot(40, 50, 10, followed);
        // Ten times the services and edges; a cost that grew with the graph's size at each step would be a hundred times.
        assert!(large < small * 40, "{small:?} for 200 services, {large:?} for 2,000");
    }
}

/// For measuring, with optimisation: `PINTLE_COST=100x100x10 cargo test --release --test pure cost -- --nocapture`: layers,
/// services in each, and how many of the layer before each needs.
#[test]
fn what_large_boots_cost() {
    let Some(wanted) = std::env::var_os("PINTLE_COST") else { return };
    for graph in wanted.to_str().expect("text").split_whitespace() {
        let numbers: Vec<usize> = graph.split('x').map(|number| number.parse().expect("a number")).collect();
        for followed in [false, true] {
            boot(numbers[0], numbers[1], numbers[2], followed);
        }
    }
}
