//! Definitions of any content to text and back, and to a database and back: nothing is lost on either way.

use pintle::database::dump::parts;
use pintle::database::{Image, compile, dump};
use pintle::lang::definition::{
    Action, At, Attribute, Definition, Expression, Kind, Limit, Log, Position, Readiness, Restart,
};
use pintle::lang::diagnostic::Source;
use pintle::lang::parse;
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

fn actions(expands: bool) -> impl Strategy<Value = Vec<Action>> {
    prop_oneof![
        vec((1..=64u32).prop_map(Action::Signal), 1..4),
        command(expands).prop_map(|words| vec![Action::Command(words)])
    ]
}

fn at<T>(value: T) -> At<T> {
    At { value, position: Position::default() }
}

fn expression() -> impl Strategy<Value = Expression> {
    let attribute = ("[A-Z_][A-Z0-9_]{0,3}", any::<bool>(), "[ -~]{0,8}");
    let fact = ("[a-z][a-z0-9.:+-]{0,6}", vec(attribute, 0..3)).prop_map(|(name, attributes)| {
        let attributes = attributes.into_iter().map(|(key, negated, glob)| Attribute { key, negated, glob }).collect();
        Expression::Fact { name: at(name), attributes }
    });
    let leaf = prop_oneof![
        4 => fact,
        1 => Just(Expression::Fact { name: at("and".into()), attributes: Vec::new() }),
        1 => Just(Expression::Up(at("other".into()))),
        1 => Just(Expression::Failed(at("other".into()))),
    ];
    leaf.prop_recursive(6, 40, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(left, right)| Expression::And(left.into(), right.into())),
            pair.prop_map(|(left, right)| Expression::Or(left.into(), right.into())),
            inner.prop_map(|inner| Expression::Not(inner.into())),
        ]
    })
}

fn optional_expression() -> impl Strategy<Value = Option<At<Expression>>> {
    proptest::option::of(expression().prop_map(at))
}

/// A service with what every kind has, then what a longrun has.
fn definition() -> impl Strategy<Value = Definition> {
    let kind = prop_oneof![Just(Kind::Longrun), Just(Kind::Oneshot)];
    (kind, any::<bool>()).prop_flat_map(|(kind, expands)| {
        let process = (
            command(expands),
            actions(expands),
            proptest::option::of(actions(expands)),
            path(expands),
            vec(path(expands), 0..3),
        );
        let limit = (0..16u32, any::<u64>(), any::<u64>());
        let exec = (
            vec(text(expands), 0..4),
            vec(limit, 0..3),
            proptest::option::of(-20..=19),
            proptest::option::of(-1000..=1000),
            0..=0o777u32,
            0..3usize,
            "[a-z]{0,6}",
        );
        let rest = (
            "[a-z'=]{1,5}( [a-z'=]{1,5}){0,3}",
            optional_expression(),
            optional_expression(),
            optional_expression(),
            any::<bool>(),
            any::<bool>(),
        );
        let policy = (
            0..3usize,
            0..3usize,
            3..=255u32,
            0..100_000u32,
            0..100_000u32,
            0..1000u32,
            1..2_000_000_000u32,
            1..100_000_000u32,
        );
        (process, exec, rest, policy).prop_map(move |(process, exec, rest, policy)| {
            let longrun = kind == Kind::Longrun;
            let minimal: &[u8] = if longrun { b"command = /x" } else { b"type = oneshot\ncommand = /x" };
            let mut made = parse(0, "web", minimal, &mut Vec::new()).expect("a good text");
            let (command, stop, reload, directory, env_file) = process;
            (made.command, made.directory, made.env_file) = (command, directory, env_file);
            made.reload = reload
                .and_then(|mut actions| actions.pop())
                .filter(|action| longrun || matches!(action, Action::Command(_)));
            if longrun || matches!(stop[0], Action::Command(_)) {
                made.stop = stop;
            }
            let (env, limits, nice, oom, umask, log, user) = exec;
            made.env = env.into_iter().enumerate().map(|(n, text)| format!("V{n}={text}")).collect();
            for (resource, a, b) in limits {
                if made.limits.iter().all(|limit| limit.resource != resource) {
                    made.limits.push(Limit { resource, soft: a.min(b), hard: a.max(b) });
                }
            }
            (made.nice, made.oom_score_adj, made.umask, made.user) = (nice, oom, umask, user);
            made.log = [Log::File, Log::Console, Log::Null][log];
            let (description, while_on, start_on, stop_on, remain, essential) = rest;
            (made.description, made.while_on, made.start_on, made.stop_on) = (description, while_on, start_on, stop_on);
            (made.remain, made.essential) = (remain || longrun, essential);
            let (ready, restart, descriptor, delay, delay_max, limit, window, timeout) = policy;
            if longrun {
                made.ready = [Readiness::None, Readiness::Notify, Readiness::Descriptor(descriptor)][ready];
                made.restart = [Restart::Always, Restart::OnFailure, Restart::Never][restart];
                (made.restart_delay_ms, made.restart_delay_ms_max) = (delay.min(delay_max), delay.max(delay_max));
                (made.restart_limit, made.restart_window_ms) = (limit, window);
            }
            (made.start_timeout_ms, made.stop_timeout_ms) = (timeout, timeout / 3 + 1);
            if expands {
                // At least one placeholder, or the parser would read the escapes.
                made.pass = vec!["A".into(), "B_1".into()];
                made.command.insert(1, "${A}".into());
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
    compile(vec![definition, other], &[source("web.svc"), source("other.svc")], &[])
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
        prop_assert!(bytes == compile(definitions, &sources, &[]).expect("the same"), "{text}");
    }
}
