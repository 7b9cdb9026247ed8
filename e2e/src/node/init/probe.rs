//! Waiting for a component to serve: asked every few milliseconds, given up at a deadline or when the
//! component has ended.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::children::Children;
use super::log_tail;
use crate::node::components::Component;
use crate::node::plan::Plan;

/// Far more than a start takes, for machines far slower than any it was seen on.
const DEADLINE: Duration = Duration::from_secs(120);
const PERIOD: Duration = Duration::from_millis(20);
const ONE_TRY: Duration = Duration::from_secs(2);

/// Asks `serves` until it says yes.
pub(super) fn until(
    plan: &Plan,
    children: &Children,
    component: Component,
    mut serves: impl FnMut() -> bool,
) -> Result<()> {
    let name = component.name();
    let deadline = Instant::now() + DEADLINE;
    while !serves() {
        if let Some(how) = children.ended(component) {
            bail!("{name} ended while it was starting ({how}); {}", log_tail(plan, name));
        }
        if Instant::now() > deadline {
            bail!("{name} does not serve after {} s; {}", DEADLINE.as_secs(), log_tail(plan, name));
        }
        sleep(PERIOD);
    }
    Ok(())
}

/// Something accepts connections there.
pub(super) fn tcp(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, ONE_TRY).is_ok()
}

/// Something accepts connections there.
pub(super) fn unix(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

/// A plain `GET` is answered with 200.
pub(super) fn http(address: SocketAddr, path: &str) -> bool {
    get(address, path).is_ok_and(|status| status.starts_with("HTTP/1.1 200") || status.starts_with("HTTP/1.0 200"))
}

/// The first bytes of the answer.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ONE_TRY)?;
    stream.set_read_timeout(Some(ONE_TRY))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}
