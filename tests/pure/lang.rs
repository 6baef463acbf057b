//! Service files: what is read, and what is found.

use proptest::collection::vec;
use proptest::prelude::*;

use pintle::lang::attribute;
use pintle::lang::definition::{Definition, Kind, Log, Restart, Token, Word};
use pintle::lang::diagnostic::{DIAGNOSTICS_PER_FILE_MAX, Diagnostic, Severity, Source, has_errors, render};
use pintle::lang::keys::number as key;
use pintle::lang::parse;
use pintle::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX, SOURCE_BYTES_MAX, SOURCE_LINE_BYTES_MAX};

fn read(name: &str, text: &[u8]) -> (Option<Definition>, Vec<Diagnostic>, String) {
    let mut diagnostics = Vec::new();
    let definition = parse(0, name, text, &mut diagnostics);
    let sources = [Source { path: format!("{name}.svc"), text: text.to_vec() }];
    let mut shown = String::new();
    for diagnostic in &diagnostics {
        render(diagnostic, &sources, &mut shown);
    }
    (definition, diagnostics, shown)
}

/// The definition of a text that has nothing wrong with it.
fn good(name: &str, text: &str) -> Definition {
    let (definition, _, shown) = read(name, text.as_bytes());
    assert_eq!(shown, "");
    definition.expect("no findings, so a definition")
}

/// The words that a definition says for a key.
fn texts<'d>(definition: &'d Definition, name: &str) -> Vec<&'d str> {
    definition.words(key(name)).iter().map(|word| word.text).collect()
}

/// The numbers that a definition says for these keys.
fn numbers<const N: usize>(definition: &Definition, names: [&str; N]) -> [u64; N] {
    names.map(|name| definition.number(key(name)))
}

/// The messages of the findings.
fn findings(text: &[u8]) -> Vec<String> {
    read("web", text).1.into_iter().map(|diagnostic| diagnostic.message().to_string()).collect()
}

#[test]
fn a_failure_can_name_each_word_of_the_execution_environment() {
    let words = |key: &str, count: usize| (0..count).fold(format!("{key} ="), |text, at| format!("{text} /x{at}"));
    let text = |last: usize| {
        let keys = [words("bind", 64), words("read-only", 64), words("env-file", 40), words("inaccessible", last)];
        format!("command = /bin/web\n{}\n", keys.join("\n"))
    };
    assert!(findings(text(24).as_bytes()).is_empty());
    let found = findings(text(25).as_bytes());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("193 words up to \"inaccessible\""), "{found:?}");
}

#[test]
fn findings_are_shown_as_in_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pure/lang/findings.txt");
    let table = std::fs::read_to_string(path).expect("the table of findings");
    let (head, cases) = table.split_once("\n== ").expect("cases");
    let mut now = format!("{head}\n");
    for case in cases.split("\n== ") {
        let (title, rest) = case.split_once('\n').expect("a title line");
        let (text, _) = rest.split_once("--\n").or(rest.split_once("--")).expect("text, then --");
        let (name, _) = title.split_once(": ").expect("name and claim");
        let (definition, diagnostics, shown) = read(name, text.as_bytes());
        assert_eq!(definition.is_none(), has_errors(&diagnostics), "{title}");
        assert!(!shown.is_empty(), "{title}: nothing was found");
        now.push_str(&format!("== {title}\n{text}--\n{shown}\n"));
    }
    let now = format!("{}\n", now.trim_end());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &now).expect("the table can be written");
        return;
    }
    for (number, (expected, found)) in table.lines().zip(now.lines()).enumerate() {
        assert_eq!(expected, found, "findings.txt:{}", number + 1);
    }
    assert_eq!(table.len(), now.len());
}

#[test]
fn every_key_of_a_longrun_fills_its_field() {
    let web = good(
        "web",
        "# the web server\n\
         description   = HTTP and reverse proxy server  # shown by status\n\
         type=longrun\n\
         command       = /usr/sbin/nginx -g 'daemon off;'\n\
         stop = signal QUIT SIGTERM 9\n\
         reload = signal HUP\n\
         needs = localfs\n   db@main\n\n# in between\n\tcache\n\
         binds = netns\nneeds-to-start = migrate\nwants = syslog\nafter = ntp\nconflicts = apache\n\
         before = cron\nneeded-by = shop\nwanted-by = default\n\
         pass = A B_1\nready = fd 3\nrestart = on-failure\nrestart-delay = 500ms\nrestart-delay-max = 5\n\
         restart-limit = 0\nrestart-window = 1h\nstart-timeout = 2m\nstop-timeout = 1d\nessential = yes\n\
         user = www-data\ngroup = 33\ndirectory = /srv\numask = 0077\nenv = A=1 'B=two words' C=\n\
         env-file = /etc/default/web -/etc/web.env\nnice = -5\noom-score-adj = 500\n\
         limit-nofile = 1024:64K\nlimit-core = unlimited\nlog = null\n",
    );
    assert_eq!(texts(&web, "description"), ["HTTP and reverse proxy server"]);
    assert_eq!(web.kind, Kind::Longrun);
    assert_eq!(texts(&web, "command"), ["/usr/sbin/nginx", "-g", "daemon off;"]);
    assert_eq!((web.number(key("stop")), texts(&web, "stop")), (0, vec!["QUIT", "SIGTERM", "9"]));
    assert_eq!((web.number(key("reload")), texts(&web, "reload")), (0, vec!["HUP"]));
    let relations: [(&str, &[&str]); 9] = [
        ("needs", &["localfs", "db@main", "cache"]),
        ("binds", &["netns"]),
        ("needs-to-start", &["migrate"]),
        ("wants", &["syslog"]),
        ("after", &["ntp"]),
        ("conflicts", &["apache"]),
        ("before", &["cron"]),
        ("needed-by", &["shop"]),
        ("wanted-by", &["default"]),
    ];
    for (key, names) in relations {
        assert_eq!(texts(&web, key), names, "{key}");
    }
    let cache = web.words(key("needs"))[2].position;
    assert_eq!((cache.line, cache.column, cache.length), (11, 2, 5));
    assert_eq!(texts(&web, "pass"), ["A", "B_1"]);
    assert_eq!(web.given(key("ready")).map(|given| given.numbers), Some([1, 3]));
    assert_eq!(web.number(key("restart")), Restart::OnFailure as u64);
    assert_eq!(numbers(&web, ["restart-delay", "restart-delay-max"]), [500, 5_000]);
    assert_eq!(numbers(&web, ["restart-limit", "restart-window"]), [0, 3_600_000]);
    assert_eq!(numbers(&web, ["start-timeout", "stop-timeout"]), [120_000, 86_400_000]);
    assert!(web.number(key("essential")) == 1 && web.given(key("remain")).is_none() && !web.expands);
    let single = ["user", "group", "directory"].map(|key| texts(&web, key));
    assert_eq!(single, [["www-data"], ["33"], ["/srv"]]);
    assert_eq!(web.number(key("umask")), 0o077);
    assert_eq!(texts(&web, "env"), ["A=1", "B=two words", "C="]);
    assert_eq!(texts(&web, "env-file"), ["/etc/default/web", "-/etc/web.env"]);
    // Stored above 0, which is none.
    assert_eq!(numbers(&web, ["nice", "oom-score-adj"]), [100 - 5, 2000 + 500]);
    let limits = ["limit-nofile", "limit-core"].map(|name| web.given(key(name)).map(|given| given.numbers));
    assert_eq!(limits, [Some([1024, 65_536]), Some([u64::MAX; 2])]);
    assert_eq!(web.number(key("log")), Log::Null as u64);
    let order: Vec<_> = web.given.iter().map(|given| given.key.number).collect();
    assert!(order.is_sorted_by(|a, b| a < b), "in the order of the table");
}

#[test]
fn what_is_not_said_has_its_default() {
    let web = good("web", "command = /bin/web");
    assert_eq!(web.kind, Kind::Longrun);
    assert_eq!((web.number(key("stop")), texts(&web, "stop")), (0, vec!["TERM"]));
    assert_eq!(web.given(key("restart")).map(|given| given.numbers[0]), Some(Restart::Always as u64));
    assert_eq!(numbers(&web, ["restart-delay", "restart-delay-max"]), [1_000, 60_000]);
    assert_eq!(numbers(&web, ["restart-limit", "restart-window"]), [10, 300_000]);
    assert_eq!(numbers(&web, ["start-timeout", "stop-timeout"]), [60_000, 10_000]);
    assert_eq!(numbers(&web, ["umask", "log"]), [0o022, Log::File as u64]);

    let setup = good("setup", "type = oneshot\ncommand = /bin/true\n");
    assert!(setup.given(key("stop")).is_none() && setup.given(key("restart")).is_none());
    assert_eq!(numbers(&setup, ["start-timeout", "remain"]), [300_000, 1]);

    let all = good("all", "type = bundle\ncontains = web setup\n");
    assert!(all.given(key("stop")).is_none() && all.given(key("command")).is_none());
}

#[test]
fn one_given_delay_moves_the_other() {
    let slow = good("slow", "command = /bin/x\nrestart-delay = 5m\n");
    assert_eq!(numbers(&slow, ["restart-delay", "restart-delay-max"]), [300_000, 300_000]);
    let fast = good("fast", "command = /bin/x\nrestart-delay-max = 100ms\n");
    assert_eq!(numbers(&fast, ["restart-delay", "restart-delay-max"]), [100, 100]);
}

#[test]
fn scripts_are_taken_as_they_stand() {
    let text = "type = oneshot\ncommand = <<END\n    set -e\n\n    if x; then # kept\n        echo \"${HOME}\" 'it'\n    fi\nEND\n\
                stop = <<E /usr/bin/python3 # comment\nprint(1)\nE\nremain = no\n";
    let setup = good("setup", text);
    let script = "set -e\n\nif x; then # kept\n    echo \"${HOME}\" 'it'\nfi\n";
    assert_eq!(texts(&setup, "command"), ["/bin/sh", "-c", script]);
    assert_eq!((setup.number(key("stop")), texts(&setup, "stop")), (1, vec!["/usr/bin/python3", "-c", "print(1)\n"]));
    assert_eq!(setup.number(key("remain")), 0);
    let tool = good("tool", "command = <<X /bin/sh -e -c\ntrue\nX");
    assert_eq!(texts(&tool, "command"), ["/bin/sh", "-e", "-c", "true\n"]);
}

#[test]
fn placeholders_are_kept_apart_from_text() {
    let dhcp = good(
        "dhcp@",
        "for-each = net-up IFACE=wl*\ninstance = ${IFACE}\npass = IFACE\n\
         command = /bin/dhcp ${IFACE} \"-${INSTANCE}\" '${HOME}' \\${X} $${Y} $Z\ndirectory = /run/${INSTANCE}\n",
    );
    assert!(dhcp.expands);
    assert_eq!(texts(&dhcp, "instance"), ["${IFACE}"]);
    assert_eq!(texts(&dhcp, "command")[1..], ["${IFACE}", "-${INSTANCE}", "$${HOME}", "$${X}", "$${Y}", "$Z"]);
    assert_eq!(texts(&dhcp, "directory"), ["/run/${INSTANCE}"]);
    assert_eq!(dhcp.words(key("for-each"))[0].token, Token::Fact);

    let plain = good("plain", "command = /bin/sh -c 'echo ${HOME} $${X}' $${Y}\nenv = 'A=${B}'\n");
    assert!(!plain.expands);
    assert_eq!(texts(&plain, "command")[1..], ["-c", "echo ${HOME} $${X}", "${Y}"]);
    assert_eq!(texts(&plain, "env"), ["A=${B}"]);
}

/// An expression as text with all its parentheses; its words are taken away.
fn whole(words: &mut &[Word]) -> String {
    let (node, rest) = words.split_first().expect("a node");
    *words = rest;
    match node.token {
        Token::And => format!("({} and {})", whole(words), whole(words)),
        Token::Or => format!("({} or {})", whole(words), whole(words)),
        Token::Not => format!("not {}", whole(words)),
        Token::Fact => {
            let mut text = node.text.to_string();
            while let [Word { token: Token::Attribute, text: asked, .. }, rest @ ..] = *words {
                *words = rest;
                let (key, negated, glob) = attribute(asked);
                text.push_str(&format!(" {key}{}<{glob}>", if negated { "!=" } else { "=" }));
            }
            text
        }
        Token::Up => format!("up({})", node.text),
        Token::Failed => format!("failed({})", node.text),
        other => panic!("{other:?} is no node"),
    }
}

fn expression(definition: &Definition, name: &str) -> String {
    let mut words = definition.words(key(name));
    let text = whole(&mut words);
    assert!(words.is_empty(), "{text}, and more");
    text
}

#[test]
fn expressions_are_read_from_left_to_right() {
    let table = [
        ("net-up", "net-up"),
        ("net-up IFACE=eth* and not maintenance", "(net-up IFACE=<eth*> and not maintenance)"),
        ("a KEY!=x OTHER='a b'", "a KEY!=<x> OTHER=<a b>"),
        ("a and b or c", "((a and b) or c)"),
        ("a or b or c", "((a or b) or c)"),
        ("a or (b and c)", "(a or (b and c))"),
        ("(a or b)and(c)", "((a or b) and c)"),
        ("not (a or b)", "not (a or b)"),
        ("not not a", "not not a"),
        ("up(db@main) and failed( web )", "(up(db@main) and failed(web))"),
        ("'and' and \"or\"", "(and and or)"),
        ("up and failed", "(up and failed)"),
        ("block A=b=c B=", "block A=<b=c> B=<>"),
        ("block A='${x}'", "block A=<${x}>"),
        ("started mysql and stopped nginx '' failed", "(started =<mysql> and stopped =<nginx> =<> =<failed>)"),
        ("runlevel [!2345] PREVLEVEL!=N", "runlevel =<[!2345]> PREVLEVEL!=<N>"),
        ("a 'and' \"OR\" or b", "(a =<and> =<OR> or b)"),
        (
            "starting rc RUNLEVEL=[2345] and (net-device-up IFACE!=lo or local-filesystems)",
            "(starting =<rc> RUNLEVEL=<[2345]> and (net-device-up IFACE!=<lo> or local-filesystems))",
        ),
        ("a\n  or b # or c\n  or d", "((a or b) or d)"),
    ];
    for (text, expected) in table {
        let web = good("web", &format!("command = /bin/web\nwhile = {text}\n"));
        assert_eq!(expression(&web, "while"), expected, "{text}");
    }
}

#[test]
fn and_behind_or_is_taken_from_left_to_right_with_a_warning() {
    let (web, diagnostics, _) = read("web", b"command = /bin/web\nstart-on = a or b and c\n");
    assert_eq!(expression(&web.expect("a warning alone"), "start-on"), "((a or b) and c)");
    assert!(
        matches!(&diagnostics[..], [one] if one.severity == Severity::Warning && one.message().starts_with("\"and\" behind \"or\""))
    );
}

#[test]
fn expressions_have_limits_that_are_named() {
    let nested = |depth: usize| format!("command = /x\nwhile = {}a{}\n", "(".repeat(depth), ")".repeat(depth));
    assert!(findings(nested(EXPRESSION_DEPTH_MAX).as_bytes()).is_empty());
    for depth in [EXPRESSION_DEPTH_MAX + 1, 1_000] {
        let (_, diagnostics, shown) = read("web", nested(depth).as_bytes());
        assert_eq!(diagnostics.len(), 1);
        assert!(shown.contains("nested more than 32 deep\n"), "{shown}");
    }
    let nots = format!("command = /x\nwhile = {}a\n", "not ".repeat(1_000));
    let found = findings(nots.as_bytes());
    assert!(matches!(&found[..], [one] if one.contains("nested more than 32 deep")), "{found:?}");
    // n facts and n - 1 operators.
    let long = |facts: usize| format!("command = /x\nwhile = a{}\n", " and\n a".repeat(facts - 1));
    assert!(findings(long(EXPRESSION_NODES_MAX / 2).as_bytes()).is_empty());
    let (_, _, shown) = read("web", long(EXPRESSION_NODES_MAX).as_bytes());
    assert!(shown.contains("an expression of more than 256 parts"), "{shown}");
    let wide = format!("command = /x\nwhile = a{}\n", " A=b".repeat(17));
    let found = findings(wide.as_bytes());
    assert!(
        matches!(&found[..], [one] if one.contains("more than an event has: 16 attributes, 240 bytes")),
        "{found:?}"
    );
}

#[test]
fn what_is_not_a_text_is_refused() {
    let large = vec![b'#'; SOURCE_BYTES_MAX + 1];
    let long = [b"command = /".to_vec(), vec![b'x'; SOURCE_LINE_BYTES_MAX]].concat();
    let megabyte = vec![b'x'; SOURCE_BYTES_MAX];
    let table: &[(&[u8], &str, u32, u32)] = &[
        (b"command = /x\n# \xc3\xa9 \xff\n", "not UTF-8 text: byte 0xff", 2, 5),
        (b"\x7fELF\x02\x01\x01\0", "a control character: this is not a text", 1, 1),
        (b"a\n\0\n", "a NUL byte: this is not a text", 2, 1),
        (b"command = /x\r\nneeds = y\r\n", "a carriage return", 1, 13),
        (b"\xef\xbb\xbfcommand = /x\n", "a byte order mark", 1, 1),
        (b"description = \x1b[2J\n", "a control character: this is not a text", 1, 15),
        (&large, "larger than a service file may be: 1048576 bytes", 0, 0),
        (&long, "a line of 16395 bytes; at most 16384", 1, 1),
        (&megabyte, "a line of 1048576 bytes; at most 16384", 1, 1),
    ];
    for (text, message, line, column) in table {
        let (definition, diagnostics, shown) = read("web", text);
        assert!(definition.is_none());
        let found: Vec<_> = diagnostics.iter().map(|d| (d.message(), d.position.line, d.position.column)).collect();
        assert_eq!(found, [(*message, *line, *column)]);
        assert!(!shown.contains('\u{1b}') && shown.lines().all(|line| line.len() < 250), "{shown}");
    }
}

#[test]
fn one_mistake_does_not_hide_the_others() {
    let long = "x".repeat(SOURCE_LINE_BYTES_MAX + 1);
    let text = format!("nise = 3\ncommand = /{long}\n  {long}\nnoce = 5\nneeds = zz yy yy =\n");
    let found = findings(text.as_bytes());
    for what in
        ["unknown key \"nise\"", "unknown key \"noce\"", "a line of 16396 bytes", "\"yy\" stands twice", "\"=\""]
    {
        assert!(found.iter().any(|one| one.contains(what)), "{what}: {found:?}");
    }
    assert_eq!(found.len(), 6, "both long lines, and no more: {found:?}");
}

#[test]
fn a_file_of_errors_has_an_end() {
    let found = findings("x1 = y\n".repeat(10_000).as_bytes());
    assert_eq!(found.len(), DIAGNOSTICS_PER_FILE_MAX + 1);
    assert!(found.last().is_some_and(|last| last.starts_with("there are more findings")));
}

/// What service files are made of, so that the parser is not left at the first byte. The last two end it all at once.
#[rustfmt::skip]
const PIECES: [&[u8]; 48] = [
    b"\n", b"\n", b"\n", b" ", b" ", b"\t", b" = ", b"=", b" = ", b"#", b"'", b"\"", b"\\", b"${", b"}", b"$${",
    b"(", b")", b"and", b" or ", b" not ", b"up(", b"<<END", b"\nEND\n", b"command = /bin/x", b"needs", b"while",
    b"start-on", b"env", b"ready = fd 3", b"type = oneshot", b"type = bundle", b"stop = signal TERM", b"for-each",
    b"instance", b"limit-nofile", b"1024:", b"20s", b"IFACE=eth*", b"K!=x", b"pass", b"a@b", b"a@", b"-1",
    b"\xc3\xa9", b"\xe6\x97\xa5", b"\xff", b"\0",
];

/// No panic; an error if and only if there is no definition; every position is inside the text.
fn holds(text: &[u8]) -> bool {
    let lossy = String::from_utf8_lossy(text);
    let lines: Vec<&str> = lossy.split('\n').collect();
    ["web", "dhcp@"].iter().all(|name| {
        let (definition, diagnostics, shown) = read(name, text);
        let inside = |position: &pintle::lang::definition::Position| {
            position.line == 0
                || lines.get(position.line as usize - 1).is_some_and(|line| {
                    let length = line.chars().count() as u32;
                    let end = position.column + position.length - 1;
                    position.column >= 1
                        && position.length >= 1
                        && end <= length.max(position.column)
                        && position.column <= length + 1
                })
        };
        definition.is_none() == has_errors(&diagnostics)
            && diagnostics.iter().all(|d| inside(&d.position) && d.related.iter().all(inside))
            && shown.chars().all(|c| c == '\n' || !c.is_control())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_definition_or_findings(text in vec(any::<u8>(), 0..200)) {
        prop_assert!(holds(&text));
    }

    #[test]
    fn what_looks_like_a_service_file_is_a_definition_or_findings(
        picks in vec(0..PIECES.len() - 2, 0..60), end in 0..PIECES.len()
    ) {
        let mut text: Vec<u8> = picks.into_iter().flat_map(|pick| PIECES[pick].to_vec()).collect();
        text.extend_from_slice(PIECES[end]);
        prop_assert!(holds(&text));
    }
}
