//! Requests and responses as bytes: what is passed on, what is refused, and that nothing of the latter reaches anybody.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{SOON, TestPod, World, world};

mod frames;
mod http2;
mod http2_responses;
mod requests;
mod responses;
mod witness;

/// All that comes back on a connection on which these bytes are sent: until that is enough, and what comes right behind it.
async fn answer(world: &World, bytes: &[u8], enough: impl Fn(&str) -> bool) -> String {
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    // A connection that was closed because of the first part takes no second.
    let _ = caller.write_all(bytes).await;
    let mut answer: Vec<u8> = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // Some of these connections stay open behind their answer, or without one.
        let patience = if answer.is_empty() {
            Duration::from_secs(10)
        } else if enough(&String::from_utf8_lossy(&answer)) {
            Duration::from_millis(60)
        } else {
            SOON
        };
        match timeout(patience, caller.read(&mut buffer)).await {
            Ok(Ok(read @ 1..)) => answer.extend_from_slice(&buffer[..read]),
            _ => return String::from_utf8_lossy(&answer).into_owned(),
        }
    }
}

/// Whether so many responses have begun.
fn begun(responses: usize) -> impl Fn(&str) -> bool {
    move |answer: &str| statuses(answer).len() >= responses
}

/// The status of each response in it. A body that says `HTTP/1.1 ` and three digits would be taken for one; none does.
fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.").skip(1);
    lines.filter_map(|line| line.get(2..5)?.parse().ok()).collect()
}
