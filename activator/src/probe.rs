//! Proves pods ready: one task a pod, from its first sight to its end. Once the pod has an address it asks until the pod
//! answers, and again when a request could not reach it or its address changed.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crds::function::Protocol;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

use crate::function::Function;
use crate::index::Probe;
use crate::link::Beacon;
use crate::net::TcpStream;
use crate::pods::{Pod, Target};
use crate::pool::Pool;

/// A TCP connection within a cluster takes well under a millisecond; a SYN that is lost is not waited for.
const CONNECT: Duration = Duration::from_millis(250);
/// An application that is just coming up may think about its first answer.
const ANSWER: Duration = Duration::from_secs(1);
/// A lost packet included.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// Attempts of one pod at once; the oldest ones then run into their deadlines first.
const OVERLAP: usize = 16;
/// Attempts of all pods at once, beside one of each: pods that let every attempt wait take nothing from others.
const ATTEMPTS: usize = 512;

/// Starts and bounds the probes of this process.
#[derive(Clone, Debug)]
pub struct Prober {
    attempts: Arc<Semaphore>,
    beacon: Arc<Beacon>,
}

impl Prober {
    /// News of pods that are ready is announced at `beacon`.
    pub fn new(beacon: Arc<Beacon>) -> Self {
        Self { attempts: Arc::new(Semaphore::new(ATTEMPTS)), beacon }
    }

    /// Starts a pod's probe. It ends when the pod is being deleted.
    pub fn start(&self, Probe { pod, function }: Probe) {
        let prober = self.clone();
        tokio::spawn(async move {
            let leaving = pod.leaving.clone();
            leaving.run_until_cancelled(prober.run(&pod, &function)).await;
        });
    }

    async fn run(&self, pod: &Pod, function: &Arc<Function>) {
        loop {
            sit_out(pod).await;
            if !pod.is_ready() && self.prove(pod, function).await {
                function.release();
                function.gate.changed.notify_one();
                self.beacon.urge();
            }
            pod.doubt.notified().await;
            self.beacon.urge();
        }
    }

    /// Asks until the pod answers, or has no address: then false, and there is reason for doubt once it has another.
    /// Attempts begin every [`pause`] and overlap; the first success counts.
    async fn prove(&self, pod: &Pod, function: &Arc<Function>) -> bool {
        let mut began = Instant::now();
        let mut attempts = FuturesUnordered::new();
        let mut next = began;
        loop {
            tokio::select! {
                biased;
                Some((pool, passed)) = attempts.next() => {
                    // An address that changed meanwhile proves nothing of the new one.
                    if passed && pod.prove(&pool, Instant::now()) {
                        return true;
                    }
                }
                () = pod.doubt.notified() => {
                    // Another address: a start from the beginning.
                    attempts.clear();
                    began = Instant::now();
                    next = began;
                }
                () = sleep_until(next) => {
                    let Some(pool) = pod.pool() else { return false };
                    if let Some(leave) = self.leave(attempts.len()) {
                        let path = function.readiness(&pod.revision);
                        attempts.push(attempt(pool, path, &function.key.name, pod.is_lifeless(), leave));
                    }
                    let now = Instant::now();
                    next = now + pause(now - began);
                }
            }
        }
    }

    /// Leave for a further attempt of a pod that has so many under way, if it gets one now: there is a next time soon.
    fn leave(&self, under_way: usize) -> Option<Leave<'_>> {
        match under_way {
            0 => Some(Leave { _permit: None }),
            1..OVERLAP => self.attempts.try_acquire().ok().map(|permit| Leave { _permit: Some(permit) }),
            _ => None,
        }
    }
}

/// Leave for one attempt; given back when dropped. A pod's only one needs no permit.
struct Leave<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

async fn attempt(pool: Arc<Pool>, path: Arc<str>, host: &str, lifeless: bool, _leave: Leave<'_>) -> (Arc<Pool>, bool) {
    let target = pool.target();
    let passed = if path.is_empty() && lifeless {
        is_alive(target.address, host).await
    } else if path.is_empty() {
        matches!(timeout(CONNECT, TcpStream::connect(target.address)).await, Ok(Ok(_)))
    } else {
        matches!(timeout(ANSWER, fetch(target, &path, host)).await, Ok(Ok(true)))
    };
    (pool, passed)
}

/// Whether a process is alive at a pod of HTTP/1: it answers a request, with whatever, or its system refuses the connection. One
/// that is frozen, or that has gone with its machine, lets it wait.
pub async fn is_alive(address: SocketAddr, host: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("OPTIONS * HTTP/1.1\r\nhost: {host}\r\nuser-agent: {AGENT}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.read(&mut [0]).await
    };
    match timeout(SIGN_OF_LIFE, asked).await {
        Ok(Ok(_)) => true,
        // Nobody there has said that.
        Ok(Err(error)) => !matches!(error.kind(), ErrorKind::HostUnreachable | ErrorKind::TimedOut),
        Err(_) => false,
    }
}

/// Waits while the pod is left alone. Returns early if it gets another address, or is wanted all the same.
async fn sit_out(pod: &Pod) {
    while let Some(until) = pod.ejected_until().filter(|until| *until > Instant::now()) {
        tokio::select! {
            () = sleep_until(until) => {}
            () = pod.doubt.notified() => {}
        }
    }
}

/// From one attempt to the next: short at first, as a start takes tenths of a second, and long for a pod that never comes.
fn pause(since: Duration) -> Duration {
    Duration::from_millis(match since.as_millis() {
        0..=999 => 5,
        1000..=2999 => 10,
        3000..=9999 => 20,
        10_000..=29_999 => 100,
        _ => 250,
    })
}

/// Whether a GET of the path is answered with 200 to 399.
async fn fetch(target: Target, path: &str, host: &str) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let stream = timeout(CONNECT, TcpStream::connect(target.address)).await??;
    let response = match target.protocol {
        Protocol::HTTP1 => {
            let request = Request::get(path).header(header::HOST, host).header(header::USER_AGENT, AGENT);
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let driver = tokio::spawn(connection);
            let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await;
            driver.abort();
            response?
        }
        Protocol::H2C => {
            let request = Request::get(format!("http://{host}{path}")).header(header::USER_AGENT, AGENT);
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            let driver = tokio::spawn(connection);
            let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await;
            driver.abort();
            response?
        }
    };
    let status = response.status().as_u16();
    Ok((200..400).contains(&status))
}

const AGENT: &str = "rouse-probe";

#[cfg(test)]
mod tests {
    use turmoil::Builder;
    use turmoil::net::TcpListener;

    use super::*;
    use crate::clock;
    use crate::function::{Key, Spec};

    const PORT: u16 = 8080;

    /// A pod of a function of its own on this simulated host.
    fn pod(uid: &str, host: &str) -> Probe {
        let spec = Spec { readiness: "/".into(), ..Spec::test() };
        let function = Function::new(Key::new(uid, "hello"), uid.into(), spec);
        let pod = Pod::test(uid, "r1");
        let address = SocketAddr::new(turmoil::lookup(host), PORT);
        pod.locate(Target { address, protocol: Protocol::HTTP1 }, Instant::now());
        Probe { pod, function }
    }

    #[test]
    fn pods_that_never_answer_hold_up_no_other() {
        clock::now();
        let mut sim = Builder::new().tcp_capacity(4096).build();
        for (host, answers) in [("silent", false), ("good", true)] {
            sim.host(host, move || async move {
                let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
                loop {
                    let (mut stream, _) = listener.accept().await?;
                    tokio::spawn(async move {
                        let mut head = [0; 1024];
                        while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                            let answer: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                            let _ = stream.write_all(if answers { answer } else { b"" }).await;
                        }
                    });
                }
            });
        }
        sim.client("activator", async {
            let prober = Prober::new(Arc::default());
            let silent: Vec<_> = (0..100).map(|number| pod(&number.to_string(), "silent")).collect();
            silent.iter().for_each(|probe| prober.start(probe.clone()));
            tokio::time::sleep(Duration::from_secs(3)).await;
            let good = pod("good", "good");
            let began = Instant::now();
            prober.start(good.clone());
            while !good.pod.is_ready() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Simulated time: two ways there and back.
            assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
            silent.iter().for_each(|probe| probe.pod.leave());
            good.pod.leave();
            Ok(())
        });
        sim.run().unwrap();
    }
}
