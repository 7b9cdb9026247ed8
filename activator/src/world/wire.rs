//! Requests and responses as bytes: what is passed on, what is refused, and that nothing of the latter reaches anybody.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{TestPod, World, world};

mod frames;
mod http2;
mod http2_responses;
mod requests;
mod responses;
mod witness;

/// All that comes back on a connection on which these bytes are sent.
async fn answer(world: &World, bytes: &[u8]) -> String {
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    // A connection that was closed because of the first part takes no second.
    let _ = caller.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // Some of these connections stay open behind their answer.
    while let Ok(Ok(read @ 1..)) =
        timeout(Duration::from_millis(if answer.is_empty() { 3000 } else { 60 }), caller.read(&mut buffer)).await
    {
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of each response in it. A body that says `HTTP/1.1 ` and three digits would be taken for one; none does.
fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.").skip(1);
    lines.filter_map(|line| line.get(2..5)?.parse().ok()).collect()
}
