//! Unix sockets that clients come in by: who can connect, from the first moment on, and whose socket is
//! replaced.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use waxseal_testing::RedisServer;

use super::{Location, OTHER, USER, give, link, program};
use crate::program::{KEY, Running};

#[track_caller]
fn start(user: u32, place: &Location, server: &RedisServer, flags: &[&str]) -> Running {
    let words = [&["proxy", "--protect", "wa:*"], flags].concat();
    program(user, place.0.path())
        .env("REDIS_URL", &server.url())
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .start(&words)
}

/// A socket without a listener.
#[track_caller]
fn stale(path: &Path, owner: u32) {
    let _ = fs::remove_file(path);
    drop(UnixListener::bind(path).unwrap());
    give(path, owner);
}

#[test]
fn a_socket_has_its_mode_before_it_has_its_name() {
    let (place, server) = (Location::new(), RedisServer::start());
    let directory = place.directory("run", USER, 0o755);
    let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
    let events = WatchFlags::CREATE | WatchFlags::ATTRIB | WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, &directory, events).unwrap();
    let socket = directory.join("redis.sock");
    let listen = format!("unix:{}", socket.display());
    let flags = ["--listen", &listen, "--unix-mode", "600"];
    let mut running = start(USER, &place, &server, &flags);
    running.wait_until_it_says("waxseal: listening on unix:");
    let metadata = fs::symlink_metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (USER, 0o600));
    // Made under its name, it could be reached until its mode is set.
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(&watch, &mut buffer);
    let mut seen = Vec::new();
    while let Ok(event) = reader.next() {
        if event
            .file_name()
            .is_some_and(|name| name.to_bytes() == b"redis.sock")
        {
            seen.push(event.events());
        }
    }
    assert_eq!(seen, [ReadFlags::MOVED_TO]);
    running.signal("TERM");
    running.end().done();
    // Nothing is left in the directory.
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn only_a_socket_that_this_user_left_behind_is_replaced() {
    let (place, server) = (Location::new(), RedisServer::start());
    let directory = place.directory("run", OTHER, 0o755);
    let socket = directory.join("redis.sock");
    let listen = format!("unix:{}", socket.display());
    let flags = ["--listen", listen.as_str()];
    // Of the owner of the directory, and not of root.
    stale(&socket, OTHER);
    let output = start(0, &place, &server, &flags).end().with_status(2);
    assert!(
        output.stderr.contains("is not a socket of this user"),
        "{}",
        output.stderr
    );
    assert!(socket.exists());
    // A link to a socket of root's.
    let another = place.path("another.sock");
    stale(&another, 0);
    link(&another, &socket, OTHER);
    start(0, &place, &server, &flags)
        .end()
        .failed(2, "is a symbolic link");
    assert!(fs::symlink_metadata(&socket).unwrap().is_symlink() && another.exists());
    // Anything else.
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "mine").unwrap();
    start(0, &place, &server, &flags)
        .end()
        .failed(2, "is not a socket");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");
    // One that is answered.
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    start(0, &place, &server, &flags)
        .end()
        .failed(2, "address in use");
    drop(listener);
    let mut running = start(0, &place, &server, &flags);
    running.wait_until_it_says("waxseal: listening on unix:");
    // At its end it removes its own, and not what has taken its name.
    stale(&socket, OTHER);
    running.signal("TERM");
    running.end().done();
    assert!(socket.exists());
}

#[test]
fn a_socket_is_made_whatever_the_umask_takes_away() {
    let (place, server) = (Location::new(), RedisServer::start());
    let directory = place.directory("run", USER, 0o755);
    let socket = directory.join("redis.sock");
    let listen = format!("unix:{}", socket.display());
    for (umask, mode) in [("0117", 0o660), ("0177", 0o600)] {
        let mut running = program(USER, place.0.path())
            .env("REDIS_URL", &server.url())
            .env("REDIS_ENCRYPTION_KEY", KEY)
            .start_after(
                &format!("umask {umask}"),
                &["proxy", "--protect", "wa:*", "--listen", &listen],
            );
        running.wait_until_it_says("waxseal: listening on unix:");
        let metadata = fs::symlink_metadata(&socket).unwrap();
        assert_eq!(metadata.mode() & 0o777, mode, "{umask}");
        running.signal("TERM");
        running.end().done();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}
