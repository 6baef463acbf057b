//! Events over the control socket, from one client that does not wait for answers: how many a second are accepted and
//! applied, and what a bare echo server does with the same lines (tests/programs/lines.c) in the same run.
//!
//! The client writes each line by itself, as one who emits what happens does, or 64 of them at a time. The first is
//! what the limits are for: of the second an echo server sees bytes and no lines.

use crate::managers::{self, Manager};
use crate::place::Place;
use crate::{Running, Settings, Verdicts, median};
use std::process::{Child, Command, Stdio};

const SERVICES: usize = 1000;
const LINES: usize = 200_000;
/// Lines that may be unanswered.
const WINDOW: usize = 1024;
const TOGETHER: [usize; 2] = [1, 64];

pub fn measure(settings: &Settings, verdicts: &mut Verdicts) -> Result<(), String> {
    let place = Place::new("events", &settings.programs, &settings.pintle)?;
    let source = place.directory("services")?;
    let write = |name: &str, text: String| managers::write(&source.join(format!("{name}.svc")), &text);
    write("first", format!("type = oneshot\ncommand = {} 0 {}\nlog = null\n", place.program("exit"), place.fifo()))?;
    for i in 0..SERVICES {
        let text = format!(
            "type = oneshot\ncommand = {} 0\nlog = null\nstart-on = heard-{i:03} and never\n",
            place.program("exit")
        );
        write(&format!("s{i:03}"), text)?;
    }
    let plan = managers::pintle_of(&place, &["first".to_string()])?;
    let running = Running::run(Manager::Pintle, place, plan, 1)?;
    let place = &running.place;
    let control = place.run_directory()?.join("control").display().to_string();

    let heard: Vec<String> = (0..SERVICES).map(|i| format!("emit heard-{i:03} IFACE=eth0")).collect();
    let mixes = [
        ("an event nobody hears", vec!["emit unheard-of IFACE=eth0".to_string()]),
        ("one of 1,000 services hears it", heard),
        ("a condition on and off", vec!["on link-up IFACE=eth0".into(), "off link-up IFACE=eth0".into()]),
    ];
    println!("\nLines a second over the control socket, one client, {WINDOW} unanswered at most");
    println!("  {:<34}{:>18}{:>18}", "", "each by itself", "64 at a time");
    // For each way of writing: the echo server's, then each mix's.
    let mut rates = [const { [const { Vec::new() }; 4] }; TOGETHER.len()];
    for _ in 0..settings.runs {
        for (together, rates) in TOGETHER.into_iter().zip(&mut rates) {
            rates[0].push(echo(place, together, &mixes[0].1)?);
            for ((_, lines), rates) in mixes.iter().zip(&mut rates[1..]) {
                let (good, rate) = send(place, &control, together, lines)?;
                if good != LINES {
                    return Err(format!("{good} of {LINES} lines were answered by ok"));
                }
                rates.push(rate);
            }
        }
    }
    let [alone, groups] = rates.map(|rates| rates.map(|mut values| median(&mut values)));
    println!("  {:<34}{:>18.0}{:>18.0}", "bare echo server", alone[0], groups[0]);
    for (at, (name, _)) in mixes.iter().enumerate() {
        let (rate, ratio) = (alone[at + 1], alone[at + 1] / alone[0]);
        print!("  {name:<34}{rate:>18.0}{:>18.0}", groups[at + 1]);
        print!("   limit 100000 {}", verdicts.at_least(&format!("{name}, lines a second"), rate, 100_000.0));
        println!(
            "; {ratio:.2} of the echo, limit 0.5 {}",
            verdicts.at_least(&format!("{name}, of the echo"), ratio, 0.5)
        );
    }
    Ok(())
}

/// Lines a second of an echo server.
fn echo(place: &Place, together: usize, lines: &[String]) -> Result<f64, String> {
    let socket = place.path("echo").display().to_string();
    let _ = std::fs::remove_file(&socket);
    let server = Command::new(place.program("lines")).args(["echo", &socket]).spawn();
    let mut server = Ended(server.map_err(|error| error.to_string())?);
    let rate = send(place, &socket, together, lines)?.1;
    server.0.wait().map_err(|error| error.to_string())?;
    Ok(rate)
}

/// Ended with whatever ends its owner.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many lines were answered by ok, and lines a second.
fn send(place: &Place, socket: &str, together: usize, lines: &[String]) -> Result<(usize, f64), String> {
    let numbers = [LINES, WINDOW, together].map(|number| number.to_string());
    let mut command = Command::new(place.program("lines"));
    command.args(["send", socket]).args(&numbers).args(lines).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace().map(str::parse::<usize>);
    let (Some(Ok(good)), Some(Ok(ns))) = (words.next(), words.next()) else {
        return Err(format!("lines send {socket}: {}", output.status));
    };
    Ok((good, LINES as f64 * 1e9 / ns as f64))
}
