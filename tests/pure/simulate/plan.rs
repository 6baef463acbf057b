//! A plan: everything that a run depends on. It has a text form, which a failure prints and a test can hold:
//!
//! ```text
//! seed 7
//! faults die hang kill
//! capacities 8 8 32 3 0
//! service a: type = oneshot; needs = b
//! +120 start a
//! ```
//!
//! Actions: `start|stop|restart|restart-with-dependents|reload|reset|release NAME...`, `switch NAME`, `signal NAME...`,
//! `on|off|emit FACT`, `hold LEASE FACT`, `changing MILLISECONDS FACT`, `drop LEASE`, `wait`, each with the
//! milliseconds since the one before.

use std::collections::BTreeMap;
use std::fmt;

use pintle::database::{Image, compile, service};
use pintle::ident::SlotId;
use pintle::lang::definition::Definition;
use pintle::lang::diagnostic::{Source, has_errors, render};
use pintle::lang::parse;

/// What may go wrong in a run. The shrinker takes them away one by one.
pub const FAULTS: [&str; 15] = [
    "refuse", "exec", "die", "hang", "lie", "deaf", "leave", "slow", "kill", "torn", "late", "spurious", "lost",
    "jump", "crash",
];

#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub name: String,
    /// Keys with their words; an expression is one word.
    pub keys: Vec<(String, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Milliseconds since the action before.
    pub after_ms: u64,
    pub what: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Of the programs' behaviour and of the schedule.
    pub seed: u64,
    pub faults: Vec<String>,
    /// Conditions, transactions, entries, instances; how many may start at once, 0 for all.
    pub capacities: [u32; 5],
    pub services: Vec<Service>,
    pub actions: Vec<Action>,
}

/// A compiled plan.
pub struct Compiled {
    pub bytes: Vec<u8>,
    pub definitions: BTreeMap<String, Definition>,
}

impl Plan {
    pub fn has(&self, fault: &str) -> bool {
        self.faults.iter().any(|one| one == fault)
    }

    pub fn compile(&self) -> Result<Compiled, String> {
        let (mut sources, mut findings, mut definitions) = (Vec::new(), Vec::new(), Vec::new());
        for service in &self.services {
            // A long value takes a line for each word.
            let between = |words: &[String]| if words.len() > 100 { "\n    " } else { " " };
            let line = |(key, words): &(String, Vec<String>)| format!("{key} = {}\n", words.join(between(words)));
            let mut text: String = service.keys.iter().map(line).collect();
            if service.get("type") != Some("bundle") {
                text += "command = /bin/true\n";
            }
            sources.push(Source { path: format!("{}.svc", service.name), text: text.into_bytes() });
        }
        for (at, service) in self.services.iter().enumerate() {
            definitions.extend(parse(at as u32, &service.name, &sources[at].text, &mut findings));
        }
        let by_name = definitions.iter().map(|one| (one.name.to_string(), one.clone())).collect();
        match compile(definitions, &sources) {
            Ok(bytes) if !has_errors(&findings) => Ok(Compiled { bytes, definitions: by_name }),
            made => {
                findings.extend(made.err().unwrap_or_default());
                let mut shown = String::new();
                for finding in &findings {
                    render(finding, &sources, &mut shown);
                }
                Err(shown)
            }
        }
    }

    /// The plan of a text; for those that tests hold.
    pub fn parse(text: &str) -> Plan {
        let mut plan = Plan {
            seed: 0,
            faults: Vec::new(),
            capacities: [8, 8, 64, 3, 0],
            services: Vec::new(),
            actions: Vec::new(),
        };
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "seed" => plan.seed = rest.parse().expect("a number"),
                "faults" => plan.faults = words(rest),
                "capacities" => {
                    for (place, word) in plan.capacities.iter_mut().zip(words(rest)) {
                        *place = word.parse().expect("a number");
                    }
                }
                "service" => {
                    let (name, keys) = rest.split_once(':').expect("a colon");
                    let keys = keys.split(';').filter_map(|key| key.split_once('='));
                    let keys = keys.map(|(key, value)| {
                        let (key, value) = (key.trim(), value.trim());
                        let value = if is_list(key) { words(value) } else { vec![value.to_string()] };
                        (key.to_string(), value)
                    });
                    plan.services.push(Service { name: name.to_string(), keys: keys.collect() });
                }
                _ => {
                    let after = first.strip_prefix('+').expect("seed, faults, capacities, service or +MS ACTION");
                    let after_ms = after.parse().expect("milliseconds");
                    plan.actions.push(Action { after_ms, what: rest.to_string() });
                }
            }
        }
        plan
    }
}

/// Whether the value of a key is a list of names.
pub fn is_list(key: &str) -> bool {
    matches!(
        key,
        "needs"
            | "binds"
            | "needs-to-start"
            | "wants"
            | "after"
            | "before"
            | "conflicts"
            | "needed-by"
            | "wanted-by"
            | "contains"
            | "provides"
    )
}

impl Plan {
    /// Names of the slots that the compiler makes for lists and for names that several provide.
    pub fn choices(&self) -> Vec<String> {
        let Ok(compiled) = self.compile() else { return Vec::new() };
        let image = Image::open(&compiled.bytes).expect("the compiler makes good databases");
        let slots = (0..image.services()).map(SlotId);
        slots.filter(|at| image.flags(*at) & service::flags::CHOICE != 0).map(|at| image.name(at).to_string()).collect()
    }

    /// The same without lists and provided names.
    pub fn without_choices(&self) -> Plan {
        let mut plan = self.clone();
        for service in &mut plan.services {
            for (_, words) in &mut service.keys {
                words.retain(|word| !word.contains('|') && !word.starts_with("any"));
            }
            service.keys.retain(|(_, words)| !words.is_empty());
        }
        plan.actions.retain(|action| !action.what.contains('|') && !action.what.contains(" any"));
        plan
    }
}

impl Service {
    pub fn has_word(&self, key: &str, word: &str) -> bool {
        self.keys.iter().any(|(name, words)| name == key && words.iter().any(|known| known == word))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(name, _)| name == key).and_then(|(_, words)| words.first()).map(String::as_str)
    }

    /// Adds a word to a list, or sets a value.
    pub fn put(&mut self, key: &str, word: &str) {
        match self.keys.iter_mut().find(|(name, _)| name == key) {
            Some((_, words)) if is_list(key) => {
                if !words.iter().any(|known| known == word) {
                    words.push(word.to_string());
                }
            }
            Some((_, words)) => *words = vec![word.to_string()],
            None => self.keys.push((key.to_string(), vec![word.to_string()])),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [conditions, transactions, entries, instances, parallel] = self.capacities;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "faults {}", self.faults.join(" "))?;
        writeln!(f, "capacities {conditions} {transactions} {entries} {instances} {parallel}")?;
        for service in &self.services {
            let keys: Vec<String> =
                service.keys.iter().map(|(key, words)| format!("{key} = {}", words.join(" "))).collect();
            writeln!(f, "service {}: {}", service.name, keys.join("; "))?;
        }
        for action in &self.actions {
            writeln!(f, "+{} {}", action.after_ms, action.what)?;
        }
        Ok(())
    }
}
