//! Definitions of any content to text and back, and to a database and back: nothing is lost on either way.

use pintle::database::dump::parts;
use pintle::database::{Image, compile, dump};
use pintle::lang::definition::{Definition, Given, Kind, Position, Token, Word};
use pintle::lang::diagnostic::Source;
use pintle::lang::{keys, parse};
use proptest::collection::vec;
use proptest::prelude::*;

/// A word of a value: with `expands` made of placeholders, escapes and text, else of whatever can be typed.
fn text(expands: bool) -> BoxedStrategy<String> {
    if !expands {
        return "[ -~\u{e4}\u{20ac}]{0,12}".boxed();
    }
    let piece =
        prop_oneof!["[ -#%-~]{0,6}", Just("${A}".to_string()), Just("$${".to_string()), Just("${B_1}".to_string())];
    vec(piece, 0..4).prop_map(|pieces| pieces.concat()).boxed()
}

fn path(expands: bool) -> impl Strategy<Value = String> {
    text(expands).prop_map(|text| format!("/{text}"))
}

fn command(expands: bool) -> impl Strategy<Value = Vec<String>> {
    let script = vec("[ -#%-~]{0,10}", 1..5).prop_map(|lines| {
        // The first line stands at the margin, as the parser leaves it.
        format!("x{}\n", lines.join("\n"))
    });
    let last =
        prop_oneof![3 => text(expands).prop_map(|text| (text, false)), 1 => script.prop_map(|text| (text, true))];
    (path(expands), vec(text(expands), 0..4), last).prop_map(|(program, arguments, (last, script))| {
        let mut command = vec![program];
        if script && arguments.is_empty() {
            command.push("-c".into());
        }
        command.extend(arguments);
        command.push(last);
        command
    })
}

/// Signals, for which the number is 0, or a command, for which it is 1.
fn action(expands: bool) -> impl Strategy<Value = (u64, Vec<String>)> {
    prop_oneof![
        vec((1..=64u32).prop_map(|number| number.to_string()), 1..4).prop_map(|signals| (0, signals)),
        command(expands).prop_map(|words| (1, words))
    ]
}

fn word(token: Token, text: String) -> Word {
    Word { token, ..Word::new(text.leak(), Position::default()) }
}

/// An expression, each node before what is below it.
fn expression() -> impl Strategy<Value = Vec<Word>> {
    let attribute = "[A-Z_][A-Z0-9_]{0,3}!?=[ -~]{0,8}".prop_map(|text| word(Token::Attribute, text));
    let placed = prop_oneof![4 => "[ -<>-~]{0,8}", 1 => "and|or|not|OR|&&"];
    let placed = placed.prop_map(|text| word(Token::Attribute, format!("={text}")));
    let fact = ("[a-z][a-z0-9.:+-]{0,6}", vec(placed, 0..3), vec(attribute, 0..3));
    let fact = fact.prop_map(|(name, placed, attributes)| {
        let mut words = vec![word(Token::Fact, name)];
        words.extend(placed);
        words.extend(attributes);
        words
    });
    let lone = |token, name: &str| Just(vec![word(token, name.to_string())]);
    let leaf = prop_oneof![
        4 => fact,
        1 => lone(Token::Fact, "and"),
        1 => lone(Token::Up, "other"),
        1 => lone(Token::Failed, "other"),
    ];
    joined(leaf.boxed())
}

/// Tests of `only-if`, in the same way.
fn tests(expands: bool) -> impl Strategy<Value = Vec<Word>> {
    let leaf = prop_oneof![
        path(expands).prop_map(|text| (Token::Path, text)),
        text(expands).prop_map(|text| (Token::Env, format!("V={text}"))),
        text(expands).prop_map(|text| (Token::Kernel, format!("k{text}"))),
        Just((Token::Env, "and".to_string())),
    ];
    joined(leaf.prop_map(|(token, text)| vec![word(token, text)]).boxed())
        .prop_filter("TESTS_MAX", |words| words.len() <= 32)
}

/// Leaves, joined by `and`, `or` and `not`.
fn joined(leaf: BoxedStrategy<Vec<Word>>) -> impl Strategy<Value = Vec<Word>> {
    leaf.prop_recursive(6, 40, 2, |inner| {
        let operator = prop_oneof![Just(Token::And), Just(Token::Or)];
        prop_oneof![
            2 => (operator, inner.clone(), inner.clone())
                .prop_map(|(operator, left, right)| [vec![word(operator, String::new())], left, right].concat()),
            1 => inner.prop_map(|inner| [vec![word(Token::Not, String::new())], inner].concat()),
        ]
    })
}

/// Says this for a key.
fn say(definition: &mut Definition, name: &str, numbers: [u64; 2], words: Vec<Word>) {
    let key = keys::find(name).expect("a key");
    definition.put(Given { key, position: Position::default(), numbers, words: words.leak() });
}

fn say_texts(definition: &mut Definition, name: &str, texts: Vec<String>) {
    if !texts.is_empty() {
        say(definition, name, [0; 2], texts.into_iter().map(|text| word(Token::Text, text)).collect());
    }
}

/// A service with what every kind has, then what a longrun has.
fn definition() -> impl Strategy<Value = Definition> {
    let kind = prop_oneof![Just(Kind::Longrun), Just(Kind::Oneshot)];
    (kind, any::<bool>()).prop_flat_map(|(kind, expands)| {
        let process = (
            command(expands),
            action(expands),
            proptest::option::of(action(expands)),
            path(expands),
            vec(path(expands), 0..3),
        );
        let limit = (0..16usize, any::<u64>(), any::<u64>());
        let exec = (
            vec(text(expands), 0..4),
            vec(limit, 0..3),
            proptest::option::of(80..=119u64),
            proptest::option::of(1000..=3000u64),
            0..=0o777u64,
            0..3u64,
            "[a-z]{0,6}",
        );
        let rest = (
            "[a-z'=]{1,5}( [a-z'=]{1,5}){0,3}",
            proptest::option::of(expression()),
            proptest::option::of(expression()),
            proptest::option::of(expression()),
            0..2u64,
            0..2u64,
            proptest::option::of(tests(expands)),
            proptest::option::of(command(expands)),
            (0..2u64, 1..=1001u64),
        );
        let policy = (
            (0..5usize, 0..2u64, command(expands)),
            0..3u64,
            5..=255u64, // behind what listens
            0..100_000u64,
            0..100_000u64,
            0..1000u64,
            1..2_000_000_000u64,
            1..100_000_000u64,
        );
        (process, exec, rest, policy).prop_map(move |(process, exec, rest, policy)| {
            let longrun = kind == Kind::Longrun;
            let minimal: &[u8] = if longrun { b"command = /x" } else { b"type = oneshot\ncommand = /x" };
            let mut made = parse(0, "web", minimal, &mut Vec::new()).expect("a good text");
            let (mut command, stop, reload, directory, env_file) = process;
            if expands {
                // At least one placeholder, or the parser would read the escapes.
                say_texts(&mut made, "pass", vec!["A".into(), "B_1".into()]);
                command.insert(1, "${A}".into());
            }
            say_texts(&mut made, "command", command);
            say_texts(&mut made, "directory", vec![directory]);
            say_texts(&mut made, "env-file", env_file);
            for (key, action) in [("stop", Some(stop)), ("reload", reload)] {
                // A oneshot has no process to signal, and one signal reloads.
                let Some((number, mut texts)) = action.filter(|(number, _)| longrun || *number == 1) else { continue };
                if (key, number) == ("reload", 0) {
                    texts.truncate(1);
                }
                let words = texts.into_iter().map(|text| word(Token::Text, text)).collect();
                say(&mut made, key, [number, 0], words);
            }
            let (env, limits, nice, oom, umask, log, user) = exec;
            say_texts(&mut made, "env", env.into_iter().enumerate().map(|(n, text)| format!("V{n}={text}")).collect());
            for (at, a, b) in limits {
                let key = keys::KEYS.iter().filter(|key| matches!(key.value, keys::Value::Limit(_))).nth(at);
                say(&mut made, key.expect("there are as many").name(), [a.min(b), a.max(b)], Vec::new());
            }
            for (key, number) in [("nice", nice), ("oom-score-adj", oom), ("umask", Some(umask)), ("log", Some(log))] {
                if let Some(number) = number {
                    say(&mut made, key, [number, 0], Vec::new());
                }
            }
            for (at, (key, words)) in [
                ("scheduler", &["fifo:9"][..]),
                ("cpus", &["0-3,5"]),
                ("capabilities", &["CAP_CHOWN", "KILL", "63"]),
                ("ambient-capabilities", &["KILL"]),
                ("private", &["net", "tmp"]),
                ("bind", &["/a", "-/b:/c"]),
                ("make-directory", &["/run/a:0700", "/b"]),
                ("no-new-privileges", &["yes"]),
                ("listen", &["tcp:*:80", "a=unix:/x:0600"]),
            ]
            .into_iter()
            .enumerate()
            {
                if umask >> at & 1 == 1 && (longrun || key != "listen") {
                    say_texts(&mut made, key, words.iter().map(|word| word.to_string()).collect());
                }
            }
            if !user.is_empty() {
                say_texts(&mut made, "user", vec![user]);
            }
            let (description, while_on, start_on, stop_on, remain, essential, only_if, cleanup, (skip, attempts)) =
                rest;
            let cleanup = cleanup.unwrap_or_default();
            if longrun {
                say_texts(&mut made, "pre-start", cleanup.clone());
            }
            say_texts(&mut made, "cleanup", cleanup);
            say_texts(&mut made, "description", vec![description]);
            for (key, expression) in
                [("while", while_on), ("start-on", start_on), ("stop-on", stop_on), ("only-if", only_if)]
            {
                if let Some(words) = expression {
                    say(&mut made, key, [0; 2], words);
                }
            }
            let (ready, restart, descriptor, delay, delay_max, limit, window, timeout) = policy;
            let mut number = |key: &str, number: u64| say(&mut made, key, [number, 0], Vec::new());
            number("essential", essential);
            number("skip-ok", skip);
            number("start-timeout", timeout);
            number("stop-timeout", timeout / 3 + 1);
            number("kill-mode", timeout % 3);
            let ends = |texts: &[&str]| texts.iter().map(|text| word(Token::Text, text.to_string())).collect();
            let [good, last] =
                [&[][..], &["0", "255", "TERM"], &["SYS"], &["143", "HUP"]].repeat(2)[window as usize % 4..][..2]
            else {
                unreachable!()
            };
            for (key, texts) in [("success-exit", good), ("no-restart-exit", last)] {
                if !texts.is_empty() {
                    say(&mut made, key, [0; 2], ends(texts));
                }
            }
            let mut number = |key: &str, number: u64| say(&mut made, key, [number, 0], Vec::new());
            if longrun {
                number("restart", restart);
                number("restart-delay", delay.min(delay_max));
                number("restart-delay-max", delay.max(delay_max));
                number("restart-limit", limit);
                number("restart-window", window);
                let (ready, watched, check) = ready;
                let words = |texts: &[String]| texts.iter().map(|text| word(Token::Text, text.clone())).collect();
                // Of a check nobody can write a script.
                let line: Vec<String> = check.iter().map(|text| text.replace('\n', " ")).collect();
                let kept = if ready == 3 { words(&line) } else { Vec::new() };
                say(&mut made, "ready", [[0, 0], [2, 0], [1, descriptor], [3, 0], [4, 0]][ready], kept);
                let mut number = |key: &str, number: u64| say(&mut made, key, [number, 0], Vec::new());
                match ready {
                    1 if watched == 1 => {
                        number("watchdog", limit + 1);
                        number("fd-store-max", limit % 31 + 1);
                    }
                    4 if watched == 1 => say_texts(&mut made, "pid-file", vec!["/run/pid".into()]),
                    3 if watched == 1 => number("check-interval", timeout),
                    2 if watched == 1 => {
                        number("health-interval", limit + 1);
                        number("health-timeout", timeout);
                        number("health-failures", descriptor + 1);
                        say(&mut made, "health", [0; 2], words(&check));
                    }
                    _ => {}
                }
            } else {
                number("remain", remain);
                if remain == 0 {
                    number("overlap", restart);
                }
                number("retries", attempts);
                number("retry-delay", delay);
            }
            made.expands = expands;
            made
        })
    })
}

/// The database of this definition and one other.
fn database(definition: Definition) -> Vec<u8> {
    let other = parse(1, "other", b"command = /bin/other\n", &mut Vec::new()).expect("a good text");
    let source = |path: &str| Source { path: path.into(), text: Vec::new() };
    compile(vec![definition, other], &[source("web.svc"), source("other.svc")])
        .unwrap_or_else(|found| panic!("{found:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compiled_is_dumped_as_it_was(definition in definition()) {
        let bytes = database(definition);
        let mut text = String::new();
        dump(&Image::open(&bytes).expect("just made"), &mut text).expect("a String takes everything");
        let (mut sources, mut definitions, mut findings) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts(&text) {
            definitions.extend(parse(sources.len() as u32, part.name, part.text.as_bytes(), &mut findings));
            sources.push(Source { path: part.origin.into(), text: part.text.into() });
        }
        prop_assert!(findings.is_empty(), "{findings:?}\n{text}");
        prop_assert!(bytes == compile(definitions, &sources).expect("the same"), "{text}");
    }
}
