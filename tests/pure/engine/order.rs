//! What must not matter: in which order conditions change, that the engine dies, that there is a broken service.
//!
//! Worlds are random and without what goes by order on purpose: conflicts, choices, latches, and `needs-to-start`,
//! which asks what was, not what is.

use super::world::World;
use crate::simulate::random::Random;
use pintle::board::orders::OrderRow;
use pintle::board::published::{Blocker, PublishedRow};
use pintle::board::reports::State;
use pintle::engine::Engine;
use pintle::ident::SlotId;

const WORLDS: u64 = 60;

const CONDITIONS: [&str; 5] = ["c0", "c1", "c2", "link IFACE=a", "link IFACE=b"];

/// Service files: a bundle `boot` that wants all of them, and one template.
fn files(random: &mut Random) -> String {
    let count = 2 + random.index(8);
    let names: Vec<String> = (0..count).map(|at| format!("{}{at}", (b'a' + random.index(26) as u8) as char)).collect();
    let mut text = format!("boot: type = bundle; wants = {}\n", names.join(" "));
    text += "i@: for-each = link IFACE=*; instance = ${IFACE}\n";
    for (at, name) in names.iter().enumerate() {
        let bundle = at > 0 && random.chance(15);
        let mut lists = [("needs", Vec::new()), ("binds", Vec::new()), ("wants", Vec::new()), ("after", Vec::new())];
        let mut members = Vec::new();
        for other in &names[..at] {
            if random.chance(35) {
                let list = random.index(if bundle { 5 } else { 4 });
                match lists.get_mut(list) {
                    Some((_, list)) => list.push(other.as_str()),
                    None => members.push(other.as_str()),
                }
            }
        }
        let mut keys = Vec::new();
        if bundle && !members.is_empty() {
            keys.push(format!("type = bundle; contains = {}", members.join(" ")));
        } else if random.chance(25) {
            keys.push("type = oneshot".to_string());
        }
        keys.extend(
            lists.iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| format!("{key} = {}", list.join(" "))),
        );
        if random.chance(60) {
            keys.push(format!("while = {}", expression(&names[..at], 0, random)));
        }
        text += &format!("{name}: {}\n", keys.join("; "));
    }
    text
}

fn expression(names: &[String], depth: u32, random: &mut Random) -> String {
    match random.index(if depth < 2 { 8 } else { 4 }) {
        0 if !names.is_empty() => format!("up({})", names[random.index(names.len())]),
        0..=3 => ["c0", "c1", "c2", "link IFACE=a"][random.index(4)].to_string(),
        4 => format!("not ({})", expression(names, depth + 1, random)),
        5 | 6 => format!("({}) and ({})", expression(names, depth + 1, random), expression(names, depth + 1, random)),
        _ => format!("({}) or ({})", expression(names, depth + 1, random), expression(names, depth + 1, random)),
    }
}

/// What changes: each condition goes on, and perhaps off and on again. Mixed anew each time, each one's own in its
/// order.
fn changes(lengths: &[usize], random: &mut Random) -> Vec<(&'static str, bool)> {
    let mut left: Vec<(usize, usize)> = lengths.iter().copied().enumerate().filter(|(_, length)| *length > 0).collect();
    let mut changes = Vec::new();
    while !left.is_empty() {
        let at = random.index(left.len());
        let (condition, rest) = left[at];
        changes.push((CONDITIONS[condition], (lengths[condition] - rest).is_multiple_of(2)));
        left[at].1 -= 1;
        left.retain(|(_, rest)| *rest > 0);
    }
    changes
}

/// The supervisor does some of what it may.
fn supervise(world: &mut World, random: &mut Random, most: usize) {
    for _ in 0..random.index(most + 1) {
        let starting = (0..world.geometry.slots()).filter(|at| world.reports[*at as usize].state == State::Starting);
        let slots: Vec<u32> = world.unseen.keys().copied().chain(starting).collect();
        if slots.is_empty() {
            return;
        }
        let slot = slots[random.index(slots.len())];
        let name = world.engine.name(SlotId(slot));
        if world.unseen.contains_key(&slot) {
            world.obey(name.as_str());
        } else {
            world.report(name.as_str(), State::Up);
        }
    }
}

fn change(world: &mut World, fact: &str, on: bool) {
    let taken = if on { world.on(fact) } else { world.off(fact) };
    taken.expect("there is room for all");
}

/// Each service by its name, as people are shown it.
fn shown(world: &World) -> Vec<String> {
    let mut shown: Vec<String> = (0..world.geometry.slots())
        .map(SlotId)
        .filter(|at| world.engine.published(*at).exists)
        .map(|at| {
            let row = world.engine.published(at);
            format!("{} {} {:?} {:#x}", world.engine.name(at).as_str(), row.phase.name(), row.goal, row.holds.0)
        })
        .collect();
    shown.sort();
    shown
}

#[test]
fn the_order_in_which_conditions_change_does_not_matter() {
    for seed in 0..WORLDS {
        let mut random = Random::new(seed);
        let text = files(&mut random);
        let lengths: Vec<usize> = CONDITIONS.iter().map(|_| random.index(4)).collect();
        let mut first: Option<Vec<String>> = None;
        for _ in 0..6 {
            let mut world = World::new(&text);
            let changes = changes(&lengths, &mut random);
            let boots = random.index(changes.len() + 1);
            for (at, (fact, on)) in changes.iter().enumerate() {
                if at == boots {
                    world.boot("boot");
                }
                change(&mut world, fact, *on);
                supervise(&mut world, &mut random, 6);
            }
            if boots == changes.len() {
                world.boot("boot");
            }
            world.settle();
            let now = shown(&world);
            let before = first.get_or_insert_with(|| now.clone());
            assert_eq!(*before, now, "seed {seed}: {changes:?}\n{text}");
        }
    }
}

/// What is shown of a slot. Which of several it waits for may differ.
type Shown = (OrderRow, PublishedRow);

fn picture(world: &World) -> Vec<Shown> {
    let slots = (0..world.geometry.slots()).map(SlotId);
    slots
        .map(|at| {
            let mut row = world.engine.published(at);
            row.blocker = match row.blocker {
                Blocker::NeedsUp(_) => Blocker::NeedsUp(at),
                Blocker::Settles(_) => Blocker::Settles(at),
                Blocker::DependentStops(_) => Blocker::DependentStops(at),
                other => other,
            };
            (world.engine.order(at), row)
        })
        .collect()
}

#[test]
fn an_engine_that_dies_at_any_point_changes_nothing() {
    for seed in 0..WORLDS {
        let mut random = Random::new(seed ^ 0xdead);
        let text = files(&mut random);
        let lengths: Vec<usize> = CONDITIONS.iter().map(|_| random.index(4)).collect();
        let changes = changes(&lengths, &mut random);
        let schedule = random.index(1 << 30) as u64;
        let run = |dies: u64| {
            let (mut world, mut random, mut deaths) = (World::new(&text), Random::new(schedule), Random::new(seed));
            let mut pictures = Vec::new();
            world.boot("boot");
            for (fact, on) in &changes {
                change(&mut world, fact, *on);
                for _ in 0..4 {
                    if deaths.chance(dies) {
                        let World { image, geometry, capacities, memory, .. } = world;
                        world.engine = Engine::open(image, geometry, capacities, memory).expect("it is its own");
                    }
                    pictures.push(picture(&world));
                    supervise(&mut world, &mut random, 2);
                }
            }
            world.settle();
            pictures.push(picture(&world));
            (pictures, world.log)
        };
        let (undisturbed, log) = run(0);
        for dies in [30, 100] {
            let (disturbed, its) = run(dies);
            assert_eq!(log, its, "seed {seed}: orders\n{text}");
            for (at, (one, other)) in undisturbed.iter().zip(&disturbed).enumerate() {
                for (slot, (one, other)) in one.iter().zip(other).enumerate() {
                    assert_eq!(one, other, "seed {seed}, look {at}, slot {slot}\n{text}");
                }
            }
        }
    }
}

/// How a service is broken.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// Its program is missing, or it cannot be spawned.
    NeverLives,
    /// It is not ready in time, again and again, and given up in the end.
    NeverReady,
}

/// Lets all come to rest; the broken one as it is.
fn settle_with(world: &mut World, broken: &str, how: Broken) {
    for _ in 0..10_000 {
        let unseen = world.unseen.keys().next().copied();
        let in_state = |state| world.reports.iter().position(|row| row.state == state).map(|at| at as u32);
        if let Some(at) = unseen {
            let name = world.engine.name(SlotId(at));
            world.obey(name.as_str());
        } else if let Some(at) = in_state(State::Stopping) {
            // It was not ready in time, again and again.
            let name = world.engine.name(SlotId(at));
            world.report(name.as_str(), State::Failed);
        } else if let Some(at) = in_state(State::Starting) {
            let name = world.engine.name(SlotId(at));
            let state = match how {
                _ if name.as_str() != broken => State::Up,
                Broken::NeverLives => State::Failed,
                Broken::NeverReady => State::Stopping,
            };
            world.report(name.as_str(), state);
        } else {
            return;
        }
    }
    panic!("never comes to rest");
}

/// The orders of each service in turn, but for those of one.
fn orders_but(log: &[String], but: &str) -> Vec<String> {
    let mut orders: Vec<(String, String)> = Vec::new();
    for order in log {
        let (sign, name) = order.split_at(1);
        match orders.iter_mut().find(|(known, _)| known == name) {
            Some((_, signs)) => signs.push_str(sign),
            None => orders.push((name.to_string(), sign.to_string())),
        }
    }
    orders.retain(|(name, _)| name != but);
    orders.sort();
    orders.into_iter().map(|(name, signs)| format!("{name} {signs}")).collect()
}

#[test]
fn a_broken_service_changes_nothing_else() {
    for seed in 0..WORLDS {
        let mut random = Random::new(seed ^ 0xb0b);
        let text = files(&mut random);
        let lengths: Vec<usize> = CONDITIONS.iter().map(|_| random.index(4)).collect();
        let changes = changes(&lengths, &mut random);
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(':').next())
            .filter(|name| *name != "boot" && *name != "i@")
            .collect();
        let other = names[random.index(names.len())];
        let key = ["needs", "binds", "wants", "after"][random.index(4)];
        let broken = format!(
            "{}zz: {key} = {other}\n",
            text.replacen("boot: type = bundle; wants =", "boot: type = bundle; wants = zz", 1)
        );
        let run = |text: &str, how: Option<Broken>| {
            let mut world = World::new(text);
            let mut pictures = Vec::new();
            world.boot("boot");
            for (fact, on) in &changes {
                match how {
                    Some(how) => settle_with(&mut world, "zz", how),
                    None => settle_with(&mut world, "", Broken::NeverLives),
                }
                pictures.push(shown(&world));
                change(&mut world, fact, *on);
            }
            (pictures, orders_but(&world.log, "zz"))
        };
        let (well, orders) = run(&text, None);
        for how in [Broken::NeverLives, Broken::NeverReady] {
            let (ill, its) = run(&broken, Some(how));
            for (at, (one, mut other)) in well.iter().zip(ill).enumerate() {
                other.retain(|line| !line.starts_with("zz "));
                assert_eq!(*one, other, "seed {seed}, {how:?}, rest {at}\n{broken}");
            }
            assert_eq!(orders, its, "seed {seed}, {how:?}\n{broken}");
        }
    }
}
