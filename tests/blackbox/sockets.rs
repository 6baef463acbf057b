//! What services are passed from life to life: sockets that listen for them, and what they have given into keeping.

use crate::daemons::{Port, account, is_root};
use crate::harness::{Folder, Machine, PATIENCE, kill, program};
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

/// What a service has said of the descriptors that it was passed, life after life.
fn passed(machine: &Machine, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(machine.run_directory().join(format!("log/{name}.log"))).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(" fds")).map(|(_, names)| names.trim().to_string()).collect()
}

/// The pid that a service answers.
fn answer(mut from: impl Read) -> u32 {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("an answer");
    text.trim().parse().expect("a number")
}

fn connect(port: &Port) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port.number))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn crash(machine: &Machine) {
    let before = machine.status()["supervisor"]["recoveries"].as_u64();
    kill(machine.supervisor(), libc::SIGSEGV);
    machine.wait("it goes on", |machine| machine.status()["supervisor"]["recoveries"].as_u64() > before);
}

#[test]
fn who_connects_between_two_lives_is_served_by_the_next() {
    let (port, folder) = (Port::free(), Folder::new());
    let path = folder.0.join("socket");
    let text = format!(
        "command = {} -a\nlisten = http=tcp:127.0.0.1:{} unix:{}:0640\nrestart-delay = 1h\nrestart-delay-max = 1h\n",
        program("sockets"),
        port.number,
        path.display()
    );
    let machine = Machine::new(&[("web", &text), ("default", "type = bundle\nwants = web\n")]);
    machine.wait_phase("web", "up");
    let first = machine.pid("web");
    assert_eq!(answer(connect(&port).expect("it listens")), first);
    assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o7777, 0o640);
    kill(first, libc::SIGKILL);
    machine.wait_phase("web", "restarting");
    let clients = [connect(&port).expect("it is kept"), connect(&port).expect("it is kept")];
    crash(&machine);
    let late = connect(&port).expect("over a crash, too");
    machine.expect(&["restart", "--wait", "web"]);
    let second = machine.pid("web");
    assert_ne!(second, first);
    for client in clients {
        assert_eq!(answer(client), second);
    }
    assert_eq!(answer(late), second);
    // A restart that somebody asks for is no end of it either.
    let waits = UnixStream::connect(&path).expect("the other one, too");
    machine.expect(&["restart", "--wait", "web"]);
    assert_eq!(answer(connect(&port).expect("it listens")), machine.pid("web"));
    machine.wait("all lives have said so", |machine| passed(machine, "web") == ["http unix"; 3]);
    drop(waits);
    // What is down listens no more, and begins anew.
    machine.expect(&["stop", "--wait", "web"]);
    assert!(connect(&port).is_err());
    assert!(UnixStream::connect(&path).is_err());
    machine.expect(&["start", "--wait", "web"]);
    assert_eq!(answer(connect(&port).expect("it listens")), machine.pid("web"));
}

#[test]
fn every_kind_of_socket_is_opened_as_it_says() {
    let (tcp, udp, folder) = (Port::free(), Port::free(), Folder::new());
    let at = |name: &str| folder.0.join(name).display().to_string();
    let user = if is_root() { "user = nobody\n" } else { "" };
    // With what else a process is passed: its readiness, and a directory that is made for the socket.
    let service = |listen: &str| {
        format!("command = {} -a\n{user}listen = {listen}\nmake-directory = {}\n", program("sockets"), at("made"))
    };
    let name = format!("unix-seqpacket:@pintle-test-{}", std::process::id());
    let machine = Machine::new(&[
        ("all", &service(&format!("tcp:{}", tcp.number))),
        ("udp", &service(&format!("udp:127.0.0.1:{}", udp.number))),
        ("stream", &service(&format!("unix:{}", at("made/stream")))),
        ("datagram", &service(&format!("unix-dgram:{}:0666", at("made/datagram")))),
        ("packets", &service(&name)),
        ("ready", &format!("command = {} 4\nready = fd 4\nlisten = unix:{}\n", program("ready"), at("ready"))),
        ("default", "type = bundle\nwants = all udp stream datagram packets ready\n"),
    ]);
    for name in ["all", "udp", "stream", "datagram", "packets", "ready"] {
        machine.wait_phase(name, "up");
    }
    assert_eq!(answer(connect(&tcp).expect("it listens")), machine.pid("all"));
    if let Ok(stream) = TcpStream::connect(("::1", tcp.number)) {
        assert_eq!(answer(stream), machine.pid("all"));
    }
    let own = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    own.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    own.send_to(b"?", ("127.0.0.1", udp.number)).expect("sent");
    let mut text = [0; 32];
    let count = own.recv(&mut text).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&text[..count]).trim(), machine.pid("udp").to_string());
    assert_eq!(answer(UnixStream::connect(at("made/stream")).expect("it listens")), machine.pid("stream"));
    let own = UnixDatagram::bind(at("own")).expect("a socket");
    std::fs::set_permissions(at("own"), std::fs::Permissions::from_mode(0o666)).expect("ours");
    own.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    own.send_to(b"?", at("made/datagram")).expect("sent");
    let count = own.recv(&mut text).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&text[..count]).trim(), machine.pid("datagram").to_string());
    let status = std::fs::metadata(at("made/stream")).expect("a socket");
    assert_eq!(status.permissions().mode() & 0o7777, 0o666);
    if is_root() {
        assert_eq!((status.uid(), status.gid()), account("nobody"));
    }
    machine.wait("it has said so", |machine| passed(machine, "packets") == ["unix-seqpacket"]);
    for name in ["all", "udp", "stream", "datagram", "packets", "ready"] {
        assert_eq!(machine.service(name)["restarts"], 0, "{name}");
    }
}

#[test]
fn a_socket_that_cannot_be_opened_is_the_services_reason() {
    let (port, folder) = (Port::free(), Folder::new());
    let at = |name: &str| folder.0.join(name).display().to_string();
    let taken = TcpListener::bind(("127.0.0.1", port.number)).expect("it is free");
    let alive = UnixListener::bind(at("alive")).expect("a socket");
    drop(UnixListener::bind(at("left")).expect("a socket"));
    folder.write("file", "no socket");
    // A link that the service's user has made leads pintle nowhere; run by anybody else, it is pintle's own.
    std::fs::create_dir(at("theirs")).expect("a folder");
    std::os::unix::fs::symlink(if is_root() { &*folder.0 } else { "/nowhere".as_ref() }, at("theirs/link"))
        .expect("a link");
    if is_root() {
        let (uid, gid) = account("nobody");
        std::os::unix::fs::lchown(at("theirs/link"), Some(uid), Some(gid)).expect("ours to give");
        std::os::unix::fs::chown(at("theirs"), Some(uid), Some(gid)).expect("ours to give");
    }
    let through = if is_root() { "Too many levels of symbolic links" } else { "No such file or directory" };
    let service = |listen: &str| format!("command = {} -a\nlisten = {listen}\n", program("sockets"));
    let machine = Machine::new(&[
        ("taken", &service(&format!("one=unix:{} tcp:127.0.0.1:{}", at("one"), port.number))),
        ("alive", &service(&format!("unix:{}", at("alive")))),
        ("file", &service(&format!("unix:{}", at("file")))),
        ("nowhere", &service(&format!("unix:{}", at("nowhere/socket")))),
        ("through", &service(&format!("unix:{}", at("theirs/link/socket")))),
        ("left", &service(&format!("unix:{}", at("left")))),
        ("default", "type = bundle\nwants = taken alive file nowhere through left\n"),
    ]);
    for (name, reason) in [
        ("taken", format!("listen tcp:127.0.0.1:{}: Address already in use", port.number)),
        ("alive", format!("listen unix:{}: Address already in use", at("alive"))),
        ("file", format!("listen unix:{}: Address already in use", at("file"))),
        ("nowhere", format!("listen unix:{}: No such file or directory", at("nowhere/socket"))),
        ("through", format!("listen unix:{}: {through}", at("theirs/link/socket"))),
    ] {
        machine.wait_phase(name, "failed");
        let text = machine.run(&["status", "--lines", "0", name]).out;
        assert!(text.contains(&reason), "{text}");
    }
    machine.wait_phase("left", "up");
    assert_eq!(answer(UnixStream::connect(at("left")).expect("it listens")), machine.pid("left"));
    // Nothing is kept for what has failed.
    assert!(UnixStream::connect(at("one")).is_err());
    assert_eq!(std::fs::read_to_string(at("file")).expect("a file"), "no socket");
    drop((taken, alive));
    machine.expect(&["start", "--wait", "taken"]);
    machine.wait("it has said so", |machine| passed(machine, "taken") == ["one tcp"]);
}

#[test]
fn what_a_service_gives_into_keeping_comes_back_with_its_next_life() {
    let text = |arguments: &str, room: &str| {
        format!(
            "command = {} {arguments}\nready = notify\nrestart-delay = 50ms\nrestart-limit = 0\n{room}",
            program("sockets")
        )
    };
    let port = Port::free();
    let machine = Machine::new(&[
        ("keeps", &text("-g one -g two -p pipe", "fd-store-max = 3\n")),
        ("both", &text("-g own -r tcp -a", &format!("fd-store-max = 2\nlisten = tcp:127.0.0.1:{}\n", port.number))),
        ("lets-go", &text("-g one -g two -r one", "fd-store-max = 3\n")),
        ("has-none", &text("-g one", "")),
        ("pipe", &text("-P ends", "fd-store-max = 2\n")),
        ("default", "type = bundle\nwants = keeps both lets-go has-none pipe\n"),
    ]);
    let names = ["keeps", "both", "lets-go", "has-none", "pipe"];
    let next = |crashes: bool| {
        names.map(|name| {
            machine.wait_phase(name, "up");
            let before = machine.pid(name);
            if crashes && name == "keeps" {
                crash(&machine);
            }
            kill(before, libc::SIGKILL);
            machine.wait_new_life(name, before);
            before
        })
    };
    let first = next(true);
    let second = next(false);
    machine.wait("all lives have said so", |machine| names.iter().all(|name| passed(machine, name).len() == 3));
    let one_two = |pid: u32| format!("one={pid} two={pid}");
    // A pipe that is hung up is let go, what is given twice is kept once, and what goes beyond the room is closed.
    let keeps = passed(&machine, "keeps");
    assert_eq!(keeps[..2], ["".to_string(), one_two(first[0])]);
    assert_eq!(keeps[2], format!("{} one={}", one_two(first[0]), second[0]));
    let both = passed(&machine, "both");
    assert_eq!(
        both,
        ["tcp".to_string(), format!("tcp own={}", first[1]), format!("tcp own={} own={}", first[1], second[1])]
    );
    assert_eq!(answer(connect(&port).expect("it listens")), machine.pid("both"));
    assert_eq!(
        passed(&machine, "lets-go")[1..],
        [format!("two={}", first[2]), format!("two={} two={}", first[2], second[2])]
    );
    assert_eq!(passed(&machine, "has-none"), ["", "", ""]);
    assert_eq!(passed(&machine, "pipe"), ["", "ends ends", "ends ends"]);
    // It is for one run of lives.
    machine.expect(&["stop", "--wait", "keeps"]);
    machine.expect(&["start", "--wait", "keeps"]);
    machine.wait("it has said so", |machine| passed(machine, "keeps").len() == 4);
    assert_eq!(passed(&machine, "keeps")[3], "");
}

#[test]
fn instances_have_sockets_of_their_own() {
    let folder = Folder::new();
    let text = format!("command = {} -a\nlisten = unix:{}/${{INSTANCE}}\n", program("sockets"), folder.0.display());
    let machine = Machine::new(&[("web@", &text)]);
    machine.expect(&["start", "--wait", "web@a", "web@b"]);
    for name in ["a", "b"] {
        let service = format!("web@{name}");
        let before = machine.pid(&service);
        let ask = || answer(UnixStream::connect(folder.0.join(name)).expect("it listens"));
        assert_eq!(ask(), before);
        kill(before, libc::SIGKILL);
        machine.wait_new_life(&service, before);
        assert_eq!(ask(), machine.pid(&service));
    }
}
