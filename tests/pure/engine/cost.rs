//! What the engine costs, by itself: for measuring, with optimisation. `make bench` shows the numbers end to end.

use super::world::World;
use pintle::board::orders::Wish;
use pintle::board::reports::State;
use pintle::engine::{Capacities, Input, NOBODY, Standing};
use pintle::ident::SlotId;
use pintle::limits::JOURNAL_BLOCK_WORDS;
use std::time::{Duration, Instant};

/// Does as the engine orders, one service after the other; gives the engine's own time for it.
fn obey_all(world: &mut World) -> Duration {
    let mut spent = Duration::ZERO;
    while let Some(at) = world.unseen.keys().next().copied() {
        let slot = SlotId(at);
        let order = world.unseen.remove(&at).expect("just seen");
        world.stamp += 2;
        let row = &mut world.reports[slot.index()];
        row.order = order.number;
        if order.wish == Wish::Up {
            (row.attempt, row.state) = (1, State::Up);
            (row.began, row.ready) = (world.stamp - 1, world.stamp);
        } else {
            (row.attempt, row.state) = (0, State::Down);
        }
        let begun = Instant::now();
        world.tell(slot);
        spent += begun.elapsed();
    }
    spent
}

/// Boots, by itself or by a command that is followed to its end, then shuts down, and prints the engine's own time for
/// each.
fn measure(depth: usize, width: usize, fan: usize, followed: bool) {
    let image_bytes = super::world::database(&super::world::layers(depth, width, fan));
    let image = pintle::database::Image::open(image_bytes).expect("compiled");
    let mut world = World::over(image_bytes, Capacities::of(&image));
    let begun = Instant::now();
    let number = if followed { world.start("boot") } else { 0 };
    world.boot("boot");
    let up = begun.elapsed() + obey_all(&mut world);
    assert_eq!(world.engine.boot().state, 2, "everything is up");
    if followed {
        assert_eq!(world.standing(number), Standing::Done);
        let mut cursor = 0;
        let listed = std::iter::from_fn(|| world.engine.transaction_next(number, &mut cursor)).count();
        assert_eq!(listed, depth * width + 1, "the bundle and all that it pulls up");
    }
    let one = SlotId(image.services() / 2);
    world.reports[one.index()].restarts += 1;
    let begun = Instant::now();
    world.tell(one);
    let nothing = begun.elapsed();
    let begun = Instant::now();
    world.step(Input::Shutdown(NOBODY)).expect("a shutdown is never refused");
    let down = begun.elapsed() + obey_all(&mut world);
    assert!(world.engine.all_down());
    let how = if followed { "start, followed" } else { "boot" };
    println!("{depth} x {width} x {fan}: {how} {up:?}, shutdown {down:?}, a report that changes nothing {nothing:?}");
}

/// Services of which each is up only while the one before is not: a command that is followed reaches them
/// one after the other, and prints the engine's own time for it.
fn measure_chain(length: usize) {
    let text: String = (0..length)
        .map(|at| if at == 0 { "s0:\n".to_string() } else { format!("s{at}: while = not up(s{})\n", at - 1) })
        .collect();
    let image_bytes = super::world::database(&text);
    let image = pintle::database::Image::open(image_bytes).expect("compiled");
    let mut world = World::over(image_bytes, Capacities::of(&image));
    for at in 1..length {
        world.start(&format!("s{at}"));
        obey_all(&mut world);
    }
    let number = world.start("s0");
    let spent = obey_all(&mut world);
    assert_ne!(world.standing(number), Standing::Running);
    println!("{length} that join one after the other: {spent:?}");
}

/// `PINTLE_COST=100x100x10 cargo test --release --test pure cost -- --nocapture`: layers, services in each, and how
/// many of the layer before each needs. Several graphs are divided by blanks; without the variable, a small one shows
/// that it works.
#[test]
fn boots_and_shutdowns() {
    let wanted = std::env::var("PINTLE_COST").unwrap_or("4x4x2".into());
    for graph in wanted.split_whitespace() {
        let numbers: Vec<usize> = graph.split('x').map(|number| number.parse().expect("a number")).collect();
        for followed in [false, true] {
            measure(numbers[0], numbers[1], numbers[2], followed);
        }
        measure_chain(numbers[0] * numbers[1]);
    }
}

/// What a step writes is what it changes (`make bench` has the time of it): the same inputs to the same few services cost
/// the same, however many others there are, up or down, and however many of them something else needs.
#[test]
fn a_step_costs_by_what_changes_and_not_by_the_size_of_the_graph() {
    const FEW: &str = "a:\nb: needs = a\nc: binds = b; while = net\nd: type = bundle; contains = b c\n\
                       e: conflicts = b\nf: start-on = go N=1; wants = a\ng@: for-each = net; instance = x${N}\n";
    const STEPS: [fn(&mut World); 9] = [
        |world| {
            world.start("d");
        },
        World::settle,
        |world| {
            world.on("net N=1").expect("not refused");
        },
        World::settle,
        |world| world.dies("b"),
        |world| {
            world.emit("go N=1").expect("not refused");
        },
        |world| {
            world.start("e");
        },
        World::settle,
        |world| {
            world.stop("a");
        },
    ];
    let costs = |others: usize| {
        let mut text = String::from(FEW);
        text += "many: type = bundle; contains = all\nall: wants =";
        for at in 0..others {
            text += &format!(" s{at:04}");
        }
        for at in 0..others {
            text += &format!("\ns{at:04}: while = not other");
        }
        let mut world =
            World::over(super::world::database(&text), Capacities { conditions: 8, transactions: 8, entries: 32 });
        world.start("many");
        world.settle();
        STEPS.map(|step| {
            let before = world.words();
            step(&mut world);
            world.words().iter().zip(&before).filter(|(now, before)| now != before).count()
        })
    };
    let (few, many) = (costs(10), costs(1000));
    // Where a block of the journal begins, the oldest one is cleared for it.
    let grown = few.iter().zip(&many).any(|(few, many)| *many > few + JOURNAL_BLOCK_WORDS as usize);
    assert!(
        !grown && few.iter().sum::<usize>() > 100,
        "words changed: {few:?} beside 10, {many:?} beside 1,000 others"
    );
}
