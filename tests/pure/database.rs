//! From the text of service files to a database and back: what is refused and how it is said, what the bytes mean, and
//! that no damaged file gets by.

use pintle::database::dump::parts;
use pintle::database::{Image, ImageError, VERSION, compile, dump, header, service};
use pintle::graph::Relation;
use pintle::ident::SlotId;
use pintle::lang::definition::{Definition, Position};
use pintle::lang::diagnostic::{Diagnostic, Source, has_errors, render};
use pintle::lang::parse;
use proptest::prelude::*;

/// Service files by name, as they would stand in one directory.
struct Files {
    sources: Vec<Source>,
    names: Vec<String>,
}

impl Files {
    fn new<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Files {
        let names = files.iter().map(|(name, _)| name.as_ref().to_string()).collect();
        let sources = files
            .iter()
            .map(|(name, text)| Source {
                path: format!("{}.svc", name.as_ref()),
                text: text.as_ref().as_bytes().to_vec(),
            })
            .collect();
        Files { sources, names }
    }

    fn definitions(&self) -> Vec<Definition> {
        let mut findings = Vec::new();
        let read = |(file, name): (usize, &String)| parse(file as u32, name, &self.sources[file].text, &mut findings);
        let definitions: Vec<_> = self.names.iter().enumerate().filter_map(read).collect();
        assert!(!has_errors(&findings), "{}", self.shown(&findings));
        definitions
    }

    fn compile(&self) -> Result<Vec<u8>, String> {
        compile(self.definitions(), &self.sources).map_err(|findings| self.shown(&findings))
    }

    fn shown(&self, findings: &[Diagnostic]) -> String {
        let mut text = String::new();
        for finding in findings {
            render(finding, &self.sources, &mut text);
        }
        text
    }
}

/// The database of these files.
fn database(files: &[(&str, &str)]) -> Vec<u8> {
    Files::new(files).compile().unwrap_or_else(|findings| panic!("{findings}"))
}

/// The findings on these files.
fn findings(files: &[(&str, &str)]) -> String {
    Files::new(files).compile().expect_err("these files should be refused")
}

/// `needs a, wants b` of a service.
fn edges(image: &Image<'_>, name: &str) -> String {
    let slot = image.find(name.as_bytes()).unwrap_or_else(|| panic!("no service {name}"));
    let shown: Vec<_> =
        image.edges(slot).map(|edge| format!("{} {}", edge.relation.name(), image.name(edge.slot))).collect();
    shown.join(", ")
}

const RUN: &str = "command = /bin/true\n";

/// A small database with something in every section.
fn small() -> Vec<u8> {
    database(&[
        ("net", "type = oneshot\ncommand = /sbin/ip link set lo up\nstop = /sbin/ip link set lo down\nbefore = web\n"),
        (
            "web",
            "command = /usr/sbin/nginx -g 'daemon off;'\nneeds = net\nwants = dhcp@eth0\nuser = www-data\n\
             env = A=1 B=2\nenv-file = -/etc/web.env\nlimit-nofile = 1024:65536\nready = fd 3\nreload = signal HUP\n\
             while = net-up IFACE=eth* KIND!=lo and not (maintenance or failed(net))\nconflicts = other\n",
        ),
        (
            "other",
            "command = /bin/other\nstart-on = shop-open or up(net)\nstop-on = shop-closed\nwithin = 90s\nwanted-by = default\n",
        ),
        (
            "dhcp@",
            "command = /sbin/dhcp -i ${INSTANCE} ${IFACE}\npass = IFACE\nfor-each = net-up IFACE=*\ninstance = ${IFACE}\n",
        ),
        ("default", "type = bundle\ncontains = web\n"),
    ])
}

#[test]
fn leaves_are_found_by_name_also_where_the_hash_is_anothers() {
    use pintle::database::leaf;
    use pintle::fact::hash;
    // Of each pair both names have the same hash.
    let names = ["costarring", "liquid", "declinate", "macallums", "heard-1", "heard-10", "h", "z.9"];
    assert_eq!([hash(b"costarring"), hash(b"declinate")], [hash(b"liquid"), hash(b"macallums")]);
    for count in 0..names.len() {
        let (known, unknown) = names.split_at(count);
        let texts: Vec<_> =
            known.iter().map(|name| format!("{RUN}start-on = {name} A=1\nstop-on = {name}\n")).collect();
        let services: Vec<_> = texts.iter().enumerate().map(|(at, _)| format!("s{at}")).collect();
        let files: Vec<_> = services.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        let bytes = database(&files);
        let image = Image::open(&bytes).expect("just made");
        let found = |name: &str| image.leaves_named(name.as_bytes());
        for (slot, name) in known.iter().enumerate() {
            let roles: Vec<_> = found(name).map(|at| image.leaf(at)).collect();
            assert_eq!(roles.iter().map(|leaf| leaf[leaf::SERVICE]).collect::<Vec<_>>(), [slot as u32; 2], "{name}");
            assert_eq!(roles.iter().map(|leaf| leaf[leaf::ROLE] & !leaf::HASH).collect::<Vec<_>>(), [1, 2], "{name}");
        }
        for name in unknown {
            assert!(found(name).is_empty(), "{name} of {known:?}");
        }
    }
}

#[test]
fn the_image_says_what_the_files_say() {
    let bytes = small();
    let image = Image::open(&bytes).expect("just made");
    let names: Vec<_> = (0..image.services()).map(|slot| image.name(SlotId(slot))).collect();
    assert_eq!(names, ["default", "dhcp@", "dhcp@eth0", "net", "other", "web"]);
    assert_eq!(edges(&image, "default"), "wants other, contains web");
    assert_eq!(edges(&image, "web"), "needs net, wants dhcp@eth0, conflicts other, while net");
    assert_eq!(edges(&image, "other"), "conflicts web, start-on net");
    assert_eq!(edges(&image, "net"), "");
    let web = image.find(b"web").expect("web");
    let command: Vec<_> =
        image.list(image.service(web, service::COMMAND)).iter().map(|at| image.text(at).to_string()).collect();
    assert_eq!(command, ["/usr/sbin/nginx", "-g", "daemon off;"]);
    let environment: Vec<_> =
        image.list(image.header(header::ENVIRONMENT)).iter().map(|at| image.text(at).to_string()).collect();
    assert_eq!(environment, ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    assert_eq!(image.leaves_named(b"net-up").len(), 2);
    assert_eq!(image.leaves_named(b"shop-open").len(), 1);
    assert!(image.leaves_named(b"net").is_empty());
}

#[test]
fn a_template_named_with_an_instance_makes_it() {
    let bytes = database(&[
        ("top", "type = bundle\ncontains = a@x\n"),
        ("a@", "command = /bin/a ${INSTANCE} $${INSTANCE}\nneeds = b@y\nbefore = last\nwanted-by = last\n"),
        ("b@", "command = /bin/b ${INSTANCE} ${IFACE}\npass = IFACE\nwhile = up(c@z)\n"),
        ("c@", "command = /bin/c '${INSTANCE}'\n"),
        ("last", RUN),
    ]);
    let image = Image::open(&bytes).expect("just made");
    assert_eq!(image.header(header::TEMPLATES), 3);
    assert_eq!(edges(&image, "a@x"), "needs b@y");
    assert_eq!(edges(&image, "b@y"), "while c@z");
    assert_eq!(edges(&image, "last"), "wants a@x, after a@");
    let said = |name: &str| {
        let slot = image.find(name.as_bytes()).expect("an instance");
        let words: Vec<_> = image.list(image.service(slot, service::COMMAND)).iter().map(|at| image.text(at)).collect();
        let expands = image.flags(slot) & service::flags::EXPANDS != 0;
        assert_ne!(image.service(slot, service::TEMPLATE), pintle::database::NONE);
        (words.join(" "), expands)
    };
    assert_eq!(said("a@x"), ("/bin/a x ${INSTANCE}".into(), false));
    assert_eq!(said("b@y"), ("/bin/b y ${IFACE}".into(), true));
    assert_eq!(said("c@z"), ("/bin/c ${INSTANCE}".into(), false));
}

#[test]
fn the_strongest_of_relations_that_imply_one_another_stays() {
    let bytes = database(&[
        ("a", "command = /bin/a\nafter = b\nneeds = b\nwants = c\nneeds-to-start = c d\nbinds = d\n"),
        ("b", "command = /bin/b\nneeded-by = a\nbefore = a\nconflicts = e\n"),
        ("c", "command = /bin/c\nneeded-by = a\n"),
        ("d", RUN),
        ("e", "command = /bin/e\nconflicts = b\n"),
    ]);
    let image = Image::open(&bytes).expect("just made");
    assert_eq!(edges(&image, "a"), "needs b, needs c, binds d");
    assert_eq!(edges(&image, "b"), "conflicts e");
    assert_eq!(edges(&image, "e"), "conflicts b");
}

#[test]
fn a_cycle_is_printed_as_the_cycle() {
    let found = findings(&[
        ("a", "command = /bin/a\n\nneeds = b\n"),
        ("b", "command = /bin/b\n"),
        ("c", "command = /bin/c\nwants = a\n\n\nbefore = b\n"),
        ("d", "command = /bin/d\nneeds = a e\n"),
        ("e", "type = bundle\ncontains = f\n"),
        ("f", "command = /bin/f\nwhile = not up(e)\n"),
    ]);
    assert_eq!(
        found,
        "a.svc:3:9: dependency cycle: a needs b (a.svc:3), b after c (before in c.svc:5), c wants a (c.svc:2)\n    \
             needs = b\n            ^\n    \
             none of them could ever start; take away one of these relations\n\
         e.svc:2:12: dependency cycle: e contains f (e.svc:2), f watches e (f.svc:2)\n    \
             contains = f\n               ^\n    \
             none of them could ever start; take away one of these relations\n"
    );
}

#[test]
fn a_long_cycle_is_shown_in_part() {
    let count = 5_000;
    let files: Vec<_> =
        (0..count).map(|n| (format!("s{n:04}"), format!("{RUN}needs = s{:04}\n", (n + 1) % count))).collect();
    let found = Files::new(&files).compile().expect_err("a cycle");
    let line = found.lines().next().expect("a line");
    assert!(line.contains("s0000 needs s0001 (s0000.svc:2), s0001 needs"), "{line}");
    assert!(line.ends_with(", and 4984 more, s4999 needs s0000 (s4999.svc:2)"), "{line}");
}

#[test]
fn what_is_refused_and_how_it_is_said() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (
            &[("web", "command = /bin/web\nneeds = localf\n"), ("localfs", RUN)],
            "web.svc:2:9: there is no service \"localf\", which web names in needs\n",
        ),
        (
            &[("web", "command = /bin/web\nlog = pipe sink\n"), ("sink", "type = oneshot\ncommand = /bin/sink\n")],
            "web.svc:2:12: \"sink\" cannot read what web writes: it is no longrun\n",
        ),
        (
            &[("web", "command = /bin/web\nlog = pipe sink\n"), ("sink", "command = /bin/sink\nstdin = /etc/motd\n")],
            "web.svc:2:12: \"sink\" cannot read what web writes: it reads from its \"stdin\"\n",
        ),
        (
            &[("web", "command = /bin/web\nlog = pipe sink\n"), ("sink", "command = /bin/sink\ntty = /dev/tty1\n")],
            "web.svc:2:12: \"sink\" cannot read what web writes: it reads from its \"tty\"\n",
        ),
        (
            &[("web", "command = /bin/web\nwanted-by = boot\n")],
            "web.svc:2:13: there is no service \"boot\", which web names in wanted-by\n",
        ),
        (
            &[("web", "command = /bin/web\nwhile = up(db)\n")],
            "web.svc:2:12: there is no service \"db\", which web names in while\n",
        ),
        (
            &[("web", "command = /bin/web\nneeds = dhcp@eth0\n")],
            "web.svc:2:9: there is no service \"dhcp@eth0\", which web names in needs\n",
        ),
        (
            &[
                ("web", "command = /bin/web\nneeds = once\n"),
                ("once", "type = oneshot\ncommand = /bin/o\nremain = no\n"),
            ],
            "web.svc:2:9: web needs once, which is never up: it has remain = no\n",
        ),
        (
            &[
                ("a", "command = /bin/a\nneeds = b\n"),
                ("b", "command = /bin/b\nbinds = c\n"),
                ("c", "command = /bin/c\nconflicts = a\n"),
            ],
            "a.svc:2:9: a can never start, it conflicts with what it needs: a needs b (a.svc:2), b binds c (b.svc:2)\n",
        ),
        (&[("web", RUN), ("web", RUN)], "web.svc:1:1: a second definition of \"web\"\n"),
    ];
    for (files, message) in table {
        let found = findings(files);
        assert!(found.contains(message), "expected {message}found {found}");
    }
    assert!(findings(table[0].0).contains("did you mean \"localfs\"?"));
}

#[test]
fn all_findings_come_at_once_in_the_order_of_the_files() {
    let found = findings(&[
        ("z", "command = /bin/z\nneeds = nothing-z\nafter = z2\n"),
        ("a", "command = /bin/a\nwants = none-1 none-2\n"),
        ("z2", "command = /bin/z\nneeds = z\n"),
    ]);
    let places: Vec<_> =
        found.lines().filter(|line| line.contains(".svc:")).map(|line| line.split(": ").next()).collect();
    let expected = ["a.svc:2:9", "a.svc:2:16", "z.svc:2:9", "z.svc:3:9"];
    assert_eq!(places, expected.map(Some), "{found}");
}

#[test]
fn too_many_services_are_one_finding() {
    let count = pintle::limits::SLOTS_MAX as usize + 1;
    let files = Files::new(&[("s", RUN)]);
    let one = files.definitions().remove(0);
    let many = (0..count).map(|n| Definition { name: format!("s{n}").leak(), ..one.clone() }).collect();
    let found = compile(many, &files.sources).expect_err("too many");
    let said = files.shown(&found);
    assert!(found.len() == 1 && said.contains(&format!("{count} services")) && said.contains("SLOTS_MAX"), "{said}");
}

#[test]
fn a_name_in_a_file_that_could_not_be_read_is_not_missing() {
    let files = Files::new(&[("web", "command = /bin/web\nneeds = db cache\n")]);
    let mut definitions = files.definitions();
    definitions.push(Definition { refused: true, ..Definition::new("db", Position::default()) });
    let found = compile(definitions, &files.sources).expect_err("one is missing");
    assert_eq!(found.len(), 1, "{}", files.shown(&found));
}

#[test]
fn a_file_cut_at_any_length_is_refused() {
    let bytes = small();
    for length in 0..bytes.len() {
        let error = Image::open(&bytes[..length]).expect_err("cut");
        let length = length as u32;
        let expected = if length < 128 { 128 } else { bytes.len() as u32 };
        assert_eq!(error, ImageError::Length { expected, found: length });
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Image::open(&longer).is_err());
}

#[test]
fn a_file_with_any_byte_altered_is_refused() {
    let mut bytes = small();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            bytes[at] ^= flip;
            assert!(Image::open(&bytes).is_err(), "byte {at} altered by {flip:#x}");
            bytes[at] ^= flip;
        }
    }
    assert!(Image::open(&bytes).is_ok());
}

/// Writes checksums that fit, as a faulty writer would.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let put = |bytes: &mut Vec<u8>, word: usize, value: u32| {
        bytes[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes())
    };
    let behind = crc32fast::hash(&bytes[pintle::database::HEADER_WORDS * 4..]);
    put(&mut bytes, header::CRC, behind);
    put(&mut bytes, header::HEADER_CRC, 0);
    let sum = crc32fast::hash(&bytes[..pintle::database::HEADER_WORDS * 4]);
    put(&mut bytes, header::HEADER_CRC, sum);
    bytes
}

/// The dump of a database, and what its parts compile to.
fn dumped(bytes: &[u8]) -> (String, Vec<u8>) {
    let image = Image::open(bytes).expect("just made");
    let mut text = String::new();
    dump(&image, &mut text).expect("a String takes everything");
    let (mut sources, mut definitions, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts(&text) {
        definitions.extend(parse(sources.len() as u32, part.name, part.text.as_bytes(), &mut findings));
        sources.push(Source { path: part.origin.into(), text: part.text.into() });
    }
    let mut shown = String::new();
    for finding in &findings {
        render(finding, &sources, &mut shown);
    }
    assert!(findings.is_empty(), "{shown}of\n{text}");
    let again = compile(definitions, &sources).unwrap_or_else(|found| panic!("{found:?} of\n{text}"));
    (text, again)
}

#[test]
fn a_dump_compiles_to_the_same_bytes() {
    let awkward = "description = it's \"quoted\" and  spaced\ncommand = <<STOP /bin/bash -eu -c\n\techo ${HOME}\n\n\t\tif true\n\
        \t#@ not a part\n\tEND\nSTOP\nstop = signal INT 40 TERM\nreload = /bin/kill '-HUP' \"a'b\" '' 'x\\y' =z '#c' <<no '$${A}' $X\n\
        start-on = (a or b) and not (c A='x y' or d B!=[a-z]*\\\\? and not not up(web)) or failed(web) and 'or' A=\n\
        limit-core = 0:unlimited\nlimit-nofile = 5\noom-score-adj = -1000\nnice = -20\numask = 7\nready = notify\n\
        restart-delay = 1500ms\nrestart-window = 1d\nbefore = web\ngroup = 0\nlog = null\nessential = yes\n\
        only-if = path '/a (b)' and not (env A=x or kernel quiet) or kernel 'a=b c' and env 'and'\nskip-ok = yes\n\
        cleanup = /bin/rm -f /run/x\n";
    let expanding = "type = oneshot\ncommand = /bin/x ${A} a${A}'b c'$${A}\"${B}\" 'x'\\''y' $A\npass = A B\ndirectory = /srv/${A}\n\
        remain = no\noverlap = skip\nstart-on = usb\nenv-file = -/etc/${B} /etc/x\nenv = A='x  y' B=\n\
        only-if = not path /srv/${A}/x and env N=$${B}\nretries = 3\nretry-delay = 0\n";
    let template = "command = /bin/x ${INSTANCE}\nwithin = 90s\ninstance = ${K}\n\
        start-on = x 'a b'${INSTANCE} '' 'or' K=${INSTANCE}* L=$${x} M= and y N!='$${INSTANCE}'\n";
    let odd = database(&[("odd", awkward), ("web", RUN), ("expanding", expanding)]);
    for bytes in [small(), odd, database(&[("t@", template), ("b", "command = /bin/b\nneeds = t@one\n")])] {
        let (text, again) = dumped(&bytes);
        let other = Image::open(&again).expect("just made");
        let mut second = String::new();
        dump(&other, &mut second).expect("a String takes everything");
        assert_eq!(text, second);
        assert_eq!(bytes, again, "{text}");
    }
}

/// Reads everything that there is to read.
fn walk(image: &Image<'_>) -> usize {
    let mut seen = 0;
    for slot in (0..image.services()).map(SlotId) {
        seen += image.name(slot).len() + image.edges(slot).count() + image.reverse(slot).count();
        for field in [service::COMMAND, service::STOP, service::RELOAD, service::PASS, service::WRITTEN] {
            seen += image.list(image.service(slot, field)).iter().map(|at| image.bytes_of(at).len()).sum::<usize>();
        }
    }
    seen
}

#[test]
fn a_word_altered_under_a_fitting_checksum_never_panics() {
    let bytes = small();
    for word in 0..bytes.len() / 4 {
        for value in [0, 1, 5, 0x7fff_ffff, 0xffff_fffe, u32::MAX] {
            let mut altered = bytes.clone();
            altered[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes());
            if let Ok(image) = Image::open(&sealed(altered)) {
                walk(&image);
            }
        }
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let bytes = small();
    let says = |bytes: &[u8]| Image::open(bytes).expect_err("altered").to_string();
    assert_eq!(says(b"#!/bin/sh\n"), "not a pintle database");
    assert_eq!(says(&bytes[..100]), "database is truncated: 100 of 128 bytes");
    let cut = bytes.len() - 1;
    assert_eq!(says(&bytes[..cut]), format!("database is truncated: {cut} of {} bytes", bytes.len()));
    let mut altered = bytes.clone();
    altered[cut - 20] ^= 1;
    assert_eq!(says(&altered), "checksum does not match: altered or damaged");
    let mut newer = bytes.clone();
    newer[4] = VERSION as u8 + 1;
    let versions = format!("(format {}, this one reads up to {VERSION})", VERSION + 1);
    assert_eq!(says(&newer), format!("made by a newer pintle {versions}"));
    let mut edge = bytes.clone();
    let at = u32::from_le_bytes(bytes[(8 + 6) * 4..(8 + 6) * 4 + 4].try_into().expect("four")) as usize;
    edge[at] ^= 1;
    assert!(says(&sealed(edge)).starts_with("database is malformed: record"), "an edge turned elsewhere");
}

/// A relation as a key of a service file, and the edge that it makes.
#[derive(Clone, Copy, Debug)]
enum Said {
    Own(Relation),
    Turned(Relation),
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        Just(Said::Own(Relation::Needs)),
        Just(Said::Own(Relation::Binds)),
        Just(Said::Own(Relation::NeedsToStart)),
        Just(Said::Own(Relation::Wants)),
        Just(Said::Own(Relation::After)),
        Just(Said::Turned(Relation::Needs)),
        Just(Said::Turned(Relation::Wants)),
        Just(Said::Turned(Relation::After)),
    ]
}

/// Acyclic: every relation goes from a higher to a lower service. (from, to, how it is said)
fn relations() -> impl Strategy<Value = (usize, Vec<(usize, usize, Said)>)> {
    (2usize..30).prop_flat_map(|count| {
        let pair = (1..count)
            .prop_flat_map(|from| (Just(from), 0..from))
            .prop_flat_map(|(from, to)| (Just(from), Just(to), said()));
        (Just(count), proptest::collection::vec(pair, 0..80))
    })
}

fn texts(count: usize, relations: &[(usize, usize, Said)]) -> Vec<(String, String)> {
    let keys = [
        ("needs", Said::Own(Relation::Needs)),
        ("binds", Said::Own(Relation::Binds)),
        ("needs-to-start", Said::Own(Relation::NeedsToStart)),
        ("wants", Said::Own(Relation::Wants)),
        ("after", Said::Own(Relation::After)),
        ("needed-by", Said::Turned(Relation::Needs)),
        ("wanted-by", Said::Turned(Relation::Wants)),
        ("before", Said::Turned(Relation::After)),
    ];
    let name = |n: usize| format!("s{n}");
    (0..count)
        .map(|own| {
            let mut text = format!("command = /bin/s{own}\n");
            for (key, key_says) in keys {
                let mut named: Vec<_> = relations
                    .iter()
                    .filter_map(|&(from, to, said)| match (said, key_says) {
                        (Said::Own(a), Said::Own(b)) if a == b && from == own => Some(name(to)),
                        (Said::Turned(a), Said::Turned(b)) if a == b && to == own => Some(name(from)),
                        _ => None,
                    })
                    .collect();
                named.sort();
                named.dedup();
                if !named.is_empty() {
                    text += &format!("{key} = {}\n", named.join(" "));
                }
            }
            (name(own), text)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_edges_are_those_that_were_meant((count, relations) in relations()) {
        let files = Files::new(&texts(count, &relations));
        let bytes = files.compile().expect("no cycle can be in it");
        let image = Image::open(&bytes).expect("just made");
        let order = [Relation::After, Relation::Wants, Relation::NeedsToStart, Relation::Needs, Relation::Binds];
        for from in 0..count {
            for to in 0..count {
                // The strongest of what was said.
                let meant = relations
                    .iter()
                    .filter(|&&(a, b, _)| (a, b) == (from, to))
                    .filter_map(|&(_, _, Said::Own(relation) | Said::Turned(relation))| order.iter().position(|&o| o == relation))
                    .max()
                    .map(|at| order[at]);
                let slot = |n: usize| image.find(format!("s{n}").as_bytes()).expect("a service");
                let there: Vec<_> = image.edges(slot(from)).filter(|e| e.slot == slot(to)).map(|e| e.relation).collect();
                let back: Vec<_> = image.reverse(slot(to)).filter(|e| e.slot == slot(from)).map(|e| e.relation).collect();
                prop_assert_eq!(&there, &meant.into_iter().collect::<Vec<_>>());
                prop_assert_eq!(&there, &back);
            }
        }
    }

    #[test]
    fn the_order_of_the_files_changes_no_byte((count, relations) in relations(), seed in any::<u64>()) {
        let mut texts = texts(count, &relations);
        let bytes = Files::new(&texts).compile().expect("no cycle can be in it");
        let mut state = seed;
        for at in (1..texts.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            texts.swap(at, (state >> 33) as usize % (at + 1));
        }
        prop_assert_eq!(bytes, Files::new(&texts).compile().expect("the same"));
    }

    #[test]
    fn a_dump_of_any_relations_compiles_to_the_same_bytes((count, relations) in relations()) {
        let bytes = Files::new(&texts(count, &relations)).compile().expect("no cycle can be in it");
        let (text, again) = dumped(&bytes);
        prop_assert_eq!(bytes, again, "{}", text);
    }

    #[test]
    fn one_relation_turned_the_wrong_way_is_a_cycle((count, mut relations) in relations(), at in any::<prop::sample::Index>()) {
        prop_assume!(!relations.is_empty());
        let (from, to, _) = relations[at.index(relations.len())];
        relations.push((to, from, Said::Own(Relation::After)));
        let found = Files::new(&texts(count, &relations)).compile().expect_err("a cycle");
        prop_assert_eq!(found.matches("dependency cycle: ").count(), 1);
    }

    #[test]
    fn bytes_that_are_no_database_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Image::open(&bytes).is_err());
    }
}

/// A letter of the chain-loader's options stands in databases: with another meaning it takes another format.
#[test]
fn letters_mean_what_they_meant() {
    use pintle::lang::keys::{KEYS, Value};
    let letters: Vec<String> = KEYS
        .iter()
        .filter_map(|key| match key.value {
            Value::Setup(letter, _) => Some(format!("{}{}", char::from(letter), key.name())),
            _ => None,
        })
        .collect();
    let expected = "Ppid-file llisten Hgroups Uunset-env Mmemory-max hmemory-high wcpu-weight qcpu-max fpids-max Wio-weight xio-max iio-priority sscheduler ccpus ppersonality ttimer-slack kcapabilities aambient-capabilities Ssecure-bits nno-new-privileges Nprivate Bbind rread-only Xinaccessible Rroot Dmake-directory Zruntime-directory Kkeep-runtime Istdin Ttty";
    assert_eq!((VERSION, letters.join(" ").as_str()), (9, expected));
}
