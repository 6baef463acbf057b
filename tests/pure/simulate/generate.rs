//! A plan from a seed: a random graph, random policies, a storm of commands and events, and what may go wrong.

use super::plan::{Action, FAULTS, Plan, Service};
use super::random::Random;
use pintle::limits::{CONDITIONS_MAX, INSTANCES_MAX, SLOTS_MAX, TRANSACTIONS_MAX};

/// More services than any world but the largest has.
pub const LARGE: usize = 1000;

const FACTS: [&str; 7] = ["c0", "c1", "c2", "c1 K=x", "c1 K=y", "c0 K=x", "c2 K=z"];
/// What a `while` asks for; a value by its place, too.
const ASKED: [&str; 7] = ["c0", "c1", "c2", "c1 x", "c1 K=y", "c0 K=x", "c2 z*"];
const EVENTS: [&str; 4] = ["e0", "e1", "e0 K=x", "e1 K=y"];
const LINKS: [&str; 5] = ["a", "b", "c", "d", "e"];
const MILLISECONDS: [&str; 6] = ["0ms", "10ms", "100ms", "500ms", "1s", "3s"];
const TIMEOUTS: [&str; 4] = ["50ms", "300ms", "2s", "10s"];

/// What a world is rich in: chances in a hundred.
struct Flavour {
    template: u64,
    bundle: u64,
    conflict: u64,
    soft: u64,
    binds: u64,
    gate: u64,
    trigger: u64,
    any: u64,
}

impl Flavour {
    fn of(random: &mut Random) -> Flavour {
        let mut some = |few: u64, many: u64| if random.chance(25) { many } else { few };
        Flavour {
            template: some(6, 25),
            bundle: some(10, 35),
            conflict: some(5, 30),
            soft: some(30, 70),
            binds: some(25, 80),
            gate: some(15, 60),
            trigger: some(10, 50),
            any: some(8, 50),
        }
    }
}

/// The plan of a seed. Always one that compiles.
pub fn generate(seed: u64) -> Plan {
    let mut random = Random::new(seed);
    // Most worlds are small: they find most, and fast. Some are not, and now and then there is one in which nothing
    // more fits.
    let full = seed % 1000 == 999;
    let count = match random.below(40) {
        // All but the template, `boot` and `shutdown`.
        _ if full => u64::from(SLOTS_MAX - INSTANCES_MAX) - 3,
        _ if seed % 1000 == 749 => 4_000,
        _ if seed % 1000 == 499 => 2_000,
        0 => 40 + random.below(120),
        1..=7 => 12 + random.below(18),
        _ => 2 + random.below(9),
    };
    let mut plan = Plan {
        seed,
        faults: Vec::new(),
        capacities: [3 + random.below(10) as u32, 2 + random.below(12) as u32, 0, 1 + random.below(6) as u32, 0],
        services: Vec::new(),
        actions: Vec::new(),
    };
    if full {
        plan.capacities = [CONDITIONS_MAX, TRANSACTIONS_MAX, 0, INSTANCES_MAX, 0];
    }
    plan.capacities[2] = (count as u32 + 12) / (1 + random.below(3) as u32);
    let all = random.chance(30) || full;
    plan.faults = FAULTS.iter().filter(|_| all || random.chance(35)).map(|fault| fault.to_string()).collect();
    if count > LARGE as u64 {
        // Programs that die again and again would be all that happens.
        plan.faults.retain(|fault| !matches!(fault.as_str(), "die" | "lie"));
    }
    graph(&mut plan, count as usize, &mut random);
    let conflicts = take_out_what_does_not_compile(&mut plan);
    debug_assert!(conflicts);
    storm(&mut plan, &mut random);
    if full {
        // More instances and conditions than there may be.
        let links = (0..2 * INSTANCES_MAX).map(|at| format!("on link IFACE=n{at}"));
        let facts = (0..CONDITIONS_MAX).map(|at| format!("on c0 K=n{at}"));
        let more = links.chain(facts).map(|what| Action { after_ms: random.below(30), what });
        plan.actions.splice(0..0, more);
        // What the judge follows from step to step is not followed in the largest worlds.
        let followed = |what: &str| what.starts_with("restart") || what.starts_with("switch");
        plan.actions.retain(|action| !followed(&action.what));
    }
    // Last, so that a seed's world is the same but for this.
    if random.chance(30) {
        plan.capacities[4] = 1 + random.below(4) as u32;
    }
    plan
}

/// Conflicts may contradict needs: then they go, one service after the other, or of many services at once.
fn take_out_what_does_not_compile(plan: &mut Plan) -> bool {
    let some = if plan.services.len() > LARGE { plan.services.len() / 4 + 1 } else { 1 };
    for at in (0..=plan.services.len()).step_by(some) {
        match plan.compile() {
            Ok(_) => return true,
            Err(shown) if at >= plan.services.len() => panic!("seed {}: {shown}", plan.seed),
            Err(_) => {
                for service in plan.services.iter_mut().skip(at).take(some) {
                    service.keys.retain(|(key, _)| key != "conflicts");
                }
            }
        }
    }
    plan.compile().is_ok()
}

fn graph(plan: &mut Plan, count: usize, random: &mut Random) {
    // Edges go to what was made before, so there is no cycle; names are shuffled, so slot order says nothing.
    let density = random.below(4);
    let mut flavour = Flavour::of(random);
    if count > LARGE {
        (flavour.template, flavour.any) = (0, 0);
        put_one_template(plan);
    }
    let mut names: Vec<String> = Vec::new();
    for at in 0..count {
        let template = random.chance(flavour.template);
        let letter = (b'a' + random.below(26) as u8) as char;
        let name = format!("{letter}{at}{}", if template { "@" } else { "" });
        let mut service = Service { name: name.clone(), keys: Vec::new() };
        kind(&mut service, template, &flavour, random);
        let is_bundle = service.get("type") == Some("bundle");
        for _ in 0..random.below(2 + density) + u64::from(is_bundle) {
            if names.is_empty() {
                break;
            }
            // Neighbours more often than not: chains and layers.
            let reach = if random.chance(50) { names.len().min(4) } else { names.len() };
            let target = names[names.len() - 1 - random.below(reach as u64) as usize].clone();
            let target = one_of_several(plan, &names, target, &flavour, random);
            relate(plan, &mut service, &target, &flavour, random);
        }
        expressions(&mut service, &names, template, &flavour, random);
        names.push(name);
        plan.services.push(service);
    }
    let mut boot = Service { name: "boot".to_string(), keys: Vec::new() };
    boot.put("type", "bundle");
    for service in plan.services.iter().filter(|service| !service.name.ends_with('@')) {
        let remains = service.get("remain") != Some("no");
        if random.chance(if count > 12 { 40 } else { 60 }) {
            boot.put(if remains { "contains" } else { "wants" }, &service.name);
        }
    }
    if random.chance(25) || count > LARGE {
        let mut shutdown = Service { name: "shutdown".to_string(), keys: Vec::new() };
        shutdown.put("type", "bundle");
        let quiet = plan.services.iter().filter(|one| one.get("remain") != Some("no") && !one.name.ends_with('@'));
        if let Some(one) = quiet.take(3).last() {
            shutdown.put("contains", &one.name);
        }
        plan.services.push(shutdown);
    }
    plan.services.push(boot);
}

/// Perhaps a list of this service and others, or a name that some that were made before provide; else itself.
fn one_of_several(plan: &mut Plan, names: &[String], target: String, flavour: &Flavour, random: &mut Random) -> String {
    if !random.chance(flavour.any) {
        return target;
    }
    let remains =
        |plan: &Plan, name: &str| !plan.services.iter().any(|one| one.name == name && one.get("remain") == Some("no"));
    let mut several = vec![target.clone()];
    for _ in 0..1 + random.below(3) {
        several.push(random.pick(names).clone());
    }
    several.retain(|name| remains(plan, name));
    several.dedup();
    if random.chance(50) {
        several.sort();
        several.dedup();
    } else if several.len() == 3 && several[0] == several[2] {
        several.pop();
    }
    if random.chance(30) {
        // One that is provided from now on: only by what was made before, so there is no cycle.
        let name = format!("any{}", names.len());
        for one in plan.services.iter_mut().filter(|one| several.contains(&one.name) && !one.name.ends_with('@')) {
            one.put("provides", &name);
        }
        let there = plan.services.iter().any(|one| one.has_word("provides", &name));
        return if there { name } else { target };
    }
    let mut known: Vec<String> = Vec::new();
    for name in several {
        let name = if name.ends_with('@') { name + "a" } else { name };
        if !known.contains(&name) {
            known.push(name);
        }
    }
    if known.is_empty() { target } else { known.join("|") }
}

/// The only template of a large world: each other one would take slots for what files name of it.
fn put_one_template(plan: &mut Plan) {
    let mut service = Service { name: "t@".to_string(), keys: Vec::new() };
    for (key, value) in [("for-each", "link IFACE=*"), ("instance", "${IFACE}"), ("pass", "IFACE")] {
        service.put(key, value);
    }
    plan.services.push(service);
}

fn kind(service: &mut Service, template: bool, flavour: &Flavour, random: &mut Random) {
    let pick = |random: &mut Random, from: &[&'static str]| *random.pick(from);
    if random.chance(flavour.bundle) && !template {
        service.put("type", "bundle");
        return;
    }
    if random.chance(30) {
        service.put("type", "oneshot");
        if random.chance(30) {
            service.put("remain", "no");
            if random.clone().chance(70) {
                service.put("overlap", pick(&mut random.clone(), &["queue", "skip", "restart"]));
            }
        }
        if random.chance(50) {
            service.put("stop", "/bin/stop");
        }
        if random.chance(40) {
            service.put("retries", pick(random, &["1", "2", "3"]));
            service.put("retry-delay", pick(random, &MILLISECONDS));
        }
    } else {
        if random.chance(60) {
            service.put("ready", pick(random, &["fd 3", "notify"]));
        }
        if random.chance(60) {
            service.put("restart", pick(random, &["always", "on-failure", "never"]));
        }
        let delay = random.below(MILLISECONDS.len() as u64) as usize;
        service.put("restart-delay", MILLISECONDS[delay]);
        service.put("restart-delay-max", pick(random, &MILLISECONDS[delay..]));
        if random.chance(50) {
            service.put("restart-limit", pick(random, &["0", "1", "2", "3"]));
            service.put("restart-window", pick(random, &["100ms", "10s", "5m"]));
        }
        if random.chance(25) {
            service.put("stop", pick(random, &["/bin/stop", "signal INT TERM", "signal QUIT"]));
        }
    }
    if random.chance(35) {
        let oneshot = service.get("type") == Some("oneshot");
        service.put("reload", if oneshot || random.chance(50) { "/bin/reload" } else { "signal HUP" });
    }
    service.put("start-timeout", pick(random, &TIMEOUTS));
    service.put("stop-timeout", pick(random, &TIMEOUTS));
    if random.chance(10) {
        service.put("essential", "yes");
    }
    if random.chance(20) {
        // What comes of it depends on the program.
        service.put("only-if", "path /x");
        service.put("skip-ok", pick(random, &["yes", "no"]));
    }
    if random.chance(20) {
        service.put("cleanup", "/bin/cleanup");
    }
    // By what is there already, so that the worlds of old seeds stay what they were.
    if service.get("start-timeout") == service.get("stop-timeout") {
        service.put("runtime-directory", "/run/x");
        if service.get("reload").is_none() {
            service.put("keep-runtime", "yes");
        }
    }
}

fn relate(plan: &mut Plan, service: &mut Service, target: &str, flavour: &Flavour, random: &mut Random) {
    let is_bundle = service.get("type") == Some("bundle");
    let gone = plan.services.iter().any(|one| one.name == target && one.get("remain") == Some("no"));
    let any = target.contains('|') || target.starts_with("any");
    let mut target = target.to_string();
    if target.ends_with('@') {
        // An instance that a file names is a service of its own.
        target += *random.pick(&LINKS[..2]);
    }
    let hard: &[&str] = if is_bundle { &["contains", "contains", "needs", "wants", "after"] } else { &[] };
    let hard = if hard.is_empty() { &["needs", "needs", "needs", "needs-to-start"] } else { hard };
    let soft: &[&str] = &["wants", "wants", "after", "before"];
    if random.chance(flavour.conflict) && !any {
        service.put("conflicts", &target);
    } else if gone || random.chance(flavour.soft) {
        match *random.pick(soft) {
            // Written from the other end.
            "before" if !target.contains('@') && !service.name.contains('@') && !any => {
                let name = service.name.clone();
                if let Some(other) = plan.services.iter_mut().find(|one| one.name == target) {
                    other.put("before", &name);
                }
            }
            "before" => service.put("after", &target),
            key => service.put(key, &target),
        }
    } else if !is_bundle && random.chance(flavour.binds) {
        service.put("binds", &target);
    } else {
        let key = *random.pick::<&str>(hard);
        // A bundle contains no choice.
        service.put(if any && key == "contains" { "needs" } else { key }, &target);
    }
}

fn expressions(service: &mut Service, names: &[String], template: bool, flavour: &Flavour, random: &mut Random) {
    if template {
        service.put("for-each", random.pick::<&str>(&["link IFACE=*", "link IFACE=a*", "link IFACE=* UP=1"]));
        service.put("instance", "${IFACE}");
        service.put("pass", "IFACE");
    }
    if random.chance(flavour.gate) {
        let text = expression(names, &ASKED, 0, random);
        service.put("while", &text);
    }
    if random.chance(flavour.trigger) && !template {
        let leaves: &[&str] = if random.chance(50) { &EVENTS } else { &["e0", "e1", "c0", "c2", "c1 K=x"] };
        let text = expression(&[], leaves, 0, random);
        service.put("start-on", &text);
        if random.chance(50) {
            let text = expression(&[], leaves, 1, random);
            service.put("stop-on", &text);
        }
        if random.chance(30) {
            service.put("within", random.pick::<&str>(&["100ms", "2s"]));
        }
    }
}

fn expression(names: &[String], leaves: &[&str], depth: u32, random: &mut Random) -> String {
    let deeper = depth < 3 && random.chance(40);
    if deeper {
        let a = expression(names, leaves, depth + 1, random);
        return match random.below(3) {
            0 => format!("not ( {a} )"),
            1 => format!("( {a} ) and ( {} )", expression(names, leaves, depth + 1, random)),
            _ => format!("( {a} ) or ( {} )", expression(names, leaves, depth + 1, random)),
        };
    }
    let plain: Vec<&String> = names.iter().filter(|name| !name.contains('@')).collect();
    if !plain.is_empty() && random.chance(30) {
        let of = random.pick(&["up", "failed"]);
        return format!("{of}({})", random.pick(&plain));
    }
    let leaf = random.pick(leaves).to_string();
    if leaf.contains(' ') && random.chance(20) { leaf.replace('=', "!=") } else { leaf }
}

fn storm(plan: &mut Plan, random: &mut Random) {
    let mut names: Vec<String> = plan.services.iter().map(|service| service.name.clone()).collect();
    names.extend(plan.choices());
    let count = random.below(*random.clone().pick(&[20, 40, 120]));
    // Calm, mixed or all at once.
    let large = names.len() > LARGE;
    let pace = if large { 10 } else { *random.pick(&[0, 5, 100, 800, 3000]) };
    for _ in 0..count {
        let mut name = random.pick(&names).clone();
        if name.ends_with('@') {
            name += *random.pick(&LINKS);
        }
        let fact = random.pick(&FACTS).to_string();
        let link = random.pick(&LINKS);
        let link = format!("link IFACE={link}{}", if random.chance(50) { " UP=1" } else { "" });
        let templates = names.iter().any(|name| name.ends_with('@'));
        let fact = if random.chance(if templates { 50 } else { 5 }) { link } else { fact };
        if random.chance(10) {
            // Several in one command.
            let others: Vec<&String> = names.iter().filter(|name| !name.ends_with('@')).collect();
            name = format!("{name} {}", random.pick(&others));
        }
        let what = match random.below(28) {
            0..=4 => format!("start {name}"),
            5..=8 => format!("stop {name}"),
            9 | 10 => format!("restart {name}"),
            11 => format!("reload {name}"),
            12 => format!("signal {name}"),
            13 => format!("reset {name}"),
            14 => format!("release {name}"),
            15..=17 => format!("on {fact}"),
            18 | 19 => format!("off {fact}"),
            20 | 21 => format!("emit {}", random.pick(&EVENTS)),
            22 => format!("hold {} {fact}", 1 + random.below(3)),
            23 => format!("restart-with-dependents {name}"),
            24 => format!("switch {name}"),
            25 => "switch boot".to_string(),
            26 => format!("changing {} {fact}", 1 + random.below(3000)),
            _ => format!("drop {}", 1 + random.below(3)),
        };
        plan.actions.push(Action { after_ms: if pace == 0 { 0 } else { random.below(pace) }, what });
    }
    // Faults go on for a while.
    plan.actions.push(Action { after_ms: random.below(if large { 500 } else { 8_000 }), what: "wait".to_string() });
}
