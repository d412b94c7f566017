//! The program as a service: sockets that were opened for it, and what it tells its manager.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::gateway::eventually;
use super::world::http;
use super::world::program::command;
use super::world::smtp::SmtpClient;
use super::world::{World, database};

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program with two sockets as its descriptors 3 and 4, named by `names`.
fn serve(world: &World, names: &str, sockets: [TcpListener; 2]) -> Command {
    let before = format!("exec 3<&0 4<&1 </dev/null >/dev/null; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES={names};");
    let mut command = command(world, &before);
    let [one, other] = sockets.map(|socket| Stdio::from(OwnedFd::from(socket)));
    command.arg("serve").stdin(one).stdout(other).stderr(Stdio::piped());
    // Where it must not listen: somebody else does.
    command.env("PENNYPOST_SERVER__HTTP_LISTEN", world.config.server.http_listen.to_string());
    command.env("PENNYPOST_SMTP__SUBMISSION_LISTEN", ":587");
    command
}

fn sockets(world: &World) -> [TcpListener; 2] {
    [(); 2].map(|()| TcpListener::bind(world.config.server.http_listen).unwrap())
}

#[tokio::test]
async fn sockets_that_were_opened_for_the_program_take_the_place_of_its_own() {
    let world = World::new().await;
    let handed = sockets(&world);
    let [http, submission] = [0, 1].map(|place: usize| handed[place].local_addr().unwrap());
    let program = Running(serve(&world, "http:submission", handed).spawn().unwrap());
    eventually(|| async {
        let answer = http::try_call(http, "GET", "/readyz", &[], b"").await;
        if answer.as_ref().is_ok_and(|answer| answer.status == 200) { Ok(()) } else { Err(format!("{:?}", answer.map(|answer| answer.status))) }
    })
    .await;
    let mut client = SmtpClient::connect_starttls(submission).await;
    client.expect("EHLO c", "250").await;
    drop(program);
}

#[tokio::test]
async fn sockets_with_wrong_names_are_refused() {
    let world = World::new().await;
    for (names, told) in
        [("http:smtp", "named \"smtp\", which no listener has"), ("http:http", "named \"http\", as another is"), ("http", "named \"\"")]
    {
        let ended = serve(&world, names, sockets(&world)).output().unwrap();
        let error = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(2) && error.contains(told), "{names}: {error}");
        assert!(error.contains("FileDescriptorName="), "the fix is named: {error}");
    }
}

#[tokio::test]
async fn the_manager_is_told_of_start_life_reload_and_stop() {
    let world = World::new().await;
    let path = database::scratch().join(format!("notify-{}", world.address(1)));
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut started = serve(&world, "http:submission", sockets(&world));
    started.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000").stderr(Stdio::null());
    let mut program = Running(started.spawn().unwrap());
    let id = Pid::from_raw(i32::try_from(program.0.id()).unwrap());
    let (ended, exit) = tokio::task::spawn_blocking(move || {
        let told = |what: &str| {
            let mut octets = [0; 512];
            loop {
                let length = manager.recv(&mut octets).unwrap_or_else(|error| panic!("{what}: {error}"));
                let text = String::from_utf8_lossy(&octets[..length]).into_owned();
                if text.lines().any(|line| line.starts_with(what)) {
                    return text;
                }
            }
        };
        told("READY=1");
        told("WATCHDOG=1");
        told("WATCHDOG=1");
        kill(id, Signal::SIGHUP).unwrap();
        assert!(told("RELOADING=1").contains("MONOTONIC_USEC="));
        told("READY=1");
        told("WATCHDOG=1");
        kill(id, Signal::SIGTERM).unwrap();
        (told("STOPPING=1"), program.0.wait().unwrap())
    })
    .await
    .unwrap();
    assert!(ended.contains("STATUS=") && exit.success(), "{ended} {exit:?}");
}
