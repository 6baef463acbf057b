//! The manual page of service files has the table of keys, no more and no less.

use pintle::lang::definition::Kind;
use pintle::lang::keys::{ALL, BUNDLE, DOCS, KEYS, Key, LONGRUN, ONESHOT, PROCESS, TEMPLATE, defaults};

const BEGIN: &str = ".\\\" keys begin\n";
const END: &str = ".\\\" keys end\n";

/// Text for troff: signs that it would read are escaped, `words` in backticks are bold.
fn troff(text: &str) -> String {
    let mut out = String::new();
    let mut bold = false;
    for character in text.chars() {
        match character {
            '`' => {
                bold = !bold;
                out.push_str(if bold { "\\fB" } else { "\\fR" });
            }
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            other => out.push(other),
        }
    }
    out
}

/// The value of a key that the file of a service of this kind does not give; none for a kind that it is not for.
fn default(key: &Key, kind: Kind) -> Option<String> {
    // What decides of the kind is the same for all.
    let kind = if key.name() == "type" { Kind::default() } else { kind };
    let defaults = defaults(kind);
    let line =
        |line: &str| line.split_once(" = ").filter(|(name, _)| *name == key.name()).map(|(_, value)| value.into());
    let value = defaults.lines().find_map(line).unwrap_or_default();
    (key.kinds >> kind as u32 & 1 != 0).then_some(value)
}

fn entry((key, doc): (&Key, &&str)) -> String {
    let what = match key.kinds {
        LONGRUN => " (longrun)",
        ONESHOT => " (oneshot)",
        BUNDLE => " (bundle)",
        PROCESS => " (longrun, oneshot)",
        TEMPLATE => " (template)",
        ALL => "",
        other => panic!("{}: kinds {other} have no words", key.name()),
    };
    let longrun = default(key, Kind::Longrun).or(default(key, Kind::Oneshot)).unwrap_or_default();
    let oneshot = default(key, Kind::Oneshot).unwrap_or_else(|| longrun.clone());
    let default = match (longrun.as_str(), oneshot.as_str()) {
        ("", "") => String::new(),
        (all, oneshot) if all == oneshot => format!(" Default: `{all}`."),
        (longrun, "") => format!(" Default of a longrun: `{longrun}`."),
        (longrun, oneshot) => format!(" Default: `{longrun}`, of a oneshot `{oneshot}`."),
    };
    format!(".TP\n\\fB{}\\fR{}\n{}\n", troff(key.name()), troff(what), troff(&format!("{doc}{default}")))
}

#[test]
fn the_manual_page_has_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/man/pintle-service.5");
    let page = std::fs::read_to_string(path).expect("the manual page");
    let (head, rest) = page.split_once(BEGIN).expect("the mark where the keys begin");
    let (keys, tail) = rest.split_once(END).expect("the mark where the keys end");
    let expected: String = KEYS.iter().zip(DOCS).map(entry).collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{expected}{END}{tail}")).expect("the page can be written");
        return;
    }
    assert_eq!(keys, expected, "docs/man/pintle-service.5 is not what src/lang/keys.rs says: run with BLESS=1");
}
