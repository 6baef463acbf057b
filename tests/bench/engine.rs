//! The engine alone, without processes: what a whole boot, a shutdown and one event cost it. Compiled as it is shipped
//! (`opt-level = "z"`, fat LTO). Boots and shutdowns are in CPU time, with the little that this supervisor does; events
//! are in wall time, since the clock of CPU time costs as much as an event. Medians of several runs. What is to be
//! written to the board is made too, but not written. Exit 1 if a limit is not kept.

use pintle::board::Geometry;
use pintle::board::orders::Wish;
use pintle::board::reports::{ReportRow, State};
use pintle::database::Image;
use pintle::engine::{Capacities, Engine, Input, NOBODY, words_needed};
use pintle::ident::SlotId;
use pintle::time::Instant;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::AtomicU32;

/// The graphs are those of the engine's tests.
#[allow(dead_code)]
#[path = "../pure/engine/world.rs"]
mod world;

const RUNS: usize = 7;
const EVENTS: usize = 400;

/// CPU time of this thread in nanoseconds.
fn cpu_ns() -> u64 {
    // SAFETY: all zeros is a timespec, and the kernel fills it in.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) }, 0);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    values[values.len() / 2] as f64
}

/// An engine and a supervisor that does at once what it is ordered to, in the order in which it was, as the real one
/// does; or the newest first, which has most services be told again and again what they wait for.
struct World<'a> {
    engine: Engine<'a>,
    reports: Vec<ReportRow>,
    orders: VecDeque<SlotId>,
    newest_first: bool,
    stamp: u64,
}

impl World<'_> {
    /// One step with all that is to be written after it.
    fn step(&mut self, input: Input<'_>) {
        self.engine.step(Instant(self.stamp * 1000), input).expect("nothing is refused here");
        while let Some(dirty) = self.engine.take_dirty() {
            if dirty.order {
                std::hint::black_box(self.engine.order(dirty.slot));
                self.orders.push_back(dirty.slot);
            }
            if dirty.published {
                std::hint::black_box(self.engine.published(dirty.slot));
            }
        }
    }

    fn obey(&mut self) {
        while let Some(slot) = if self.newest_first { self.orders.pop_back() } else { self.orders.pop_front() } {
            let order = self.engine.order(slot);
            self.stamp += 2;
            let row = &mut self.reports[slot.index()];
            row.order = order.number;
            (row.attempt, row.state) = if order.wish == Wish::Up { (1, State::Up) } else { (0, State::Down) };
            (row.began, row.ready) = (self.stamp - 1, self.stamp);
            let row = *row;
            self.step(Input::Report(slot, &row));
        }
    }
}

/// Microseconds: boot and shutdown for each service, and the median event.
fn measure(layers: usize, width: usize, newest_first: bool) -> [f64; 3] {
    let graph = world::layers(layers, width, 10) + "on-ping: type = oneshot; remain = no; start-on = ping\n";
    let image = Image::open(world::database(&graph)).expect("just compiled");
    let (geometry, capacities) = (Geometry::of(&image), Capacities::of(&image));
    let memory: Vec<AtomicU32> = (0..words_needed(&image, geometry, capacities)).map(|_| AtomicU32::new(0)).collect();
    let services = (layers * width) as f64;
    let mut spent = [vec![], vec![], vec![]];
    for _ in 0..RUNS {
        memory.iter().for_each(|word| word.store(0, std::sync::atomic::Ordering::Relaxed));
        let engine = Engine::open(image, geometry, capacities, &memory).expect("memory is as large as asked for");
        let reports = vec![ReportRow::default(); geometry.slots() as usize];
        let mut world = World { engine, reports, orders: VecDeque::new(), newest_first, stamp: 1 };
        let begin = cpu_ns();
        world.step(Input::Boot(image.find(b"boot").expect("it is there")));
        world.obey();
        spent[0].push(cpu_ns() - begin);
        assert_eq!(world.engine.boot().state, 2, "everything is up");
        let one = image.find(b"on-ping").expect("it is there");
        for _ in 0..EVENTS {
            let begin = std::time::Instant::now();
            world.step(Input::Event { fact: b"ping" });
            spent[2].push(begin.elapsed().as_nanos() as u64);
            assert_eq!(world.orders, [one], "the event starts one service");
            world.orders.clear();
            world.stamp += 2;
            let order = world.engine.order(one).number;
            let row = ReportRow { order, attempt: 1, state: State::Done, began: world.stamp, ..ReportRow::default() };
            world.step(Input::Report(one, &row));
            world.reports[one.index()] = row;
        }
        let begin = cpu_ns();
        world.step(Input::Shutdown(NOBODY));
        world.obey();
        spent[1].push(cpu_ns() - begin);
        assert!(world.engine.all_down());
    }
    let [up, down, event] = spent.map(|values| median(values) / 1000.0);
    [up / services, down / services, event]
}

fn main() -> ExitCode {
    let mut kept = true;
    let mut limit = |value: f64, most: f64| {
        kept &= value <= most;
        format!("limit {most} {}", if value <= most { "ok" } else { "OVER" })
    };
    println!("\nThe engine alone, each service needing ten of the layer before; microseconds");
    println!("                    boot/service  shutdown/service  one event");
    let [small, _, _] = measure(10, 10, false);
    println!("  100 services      {small:12.2}");
    let [large, down, event] = measure(100, 100, false);
    println!("  10,000 services   {large:12.2}  {down:16.2}  {event:9.2}   {}", limit(event, 5.0));
    println!("  whole boot of 10,000, ms    {:8.1}   {}", large * 10.0, limit(large * 10.0, 20.0));
    println!("  growth for each service     {:8.2}   {}", large / small, limit(large / small, 1.3));
    let [backwards, down, _] = measure(100, 100, true);
    println!("  10,000, newest order first  {backwards:4.2}  {down:16.2}");
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
