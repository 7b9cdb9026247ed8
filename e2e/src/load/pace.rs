//! Sending: when the next request is due, and what became of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use http::Method;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Load, Pace, Shape,
    connections::{Broken, Connections, Whole},
    journal::{Journal, Sample},
};
use crate::http::{FIRST_BYTE, TOTAL, server_timing};

/// Before a request that broke is sent once more.
const BEFORE_AGAIN: Duration = Duration::from_millis(100);

/// Requests under way. Dropping it breaks them off.
#[derive(Debug)]
pub struct Running {
    shapes: watch::Sender<Vec<Shape>>,
    sending: watch::Sender<bool>,
    task: JoinHandle<()>,
    began: Instant,
}

impl Running {
    /// When the first request was due.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// From now on these requests.
    pub fn change(&self, shapes: Vec<Shape>) {
        self.shapes.send_replace(shapes);
    }

    /// Sends no more, and waits for the answers to what was sent.
    ///
    /// # Errors
    /// When the sender itself failed.
    pub async fn end(mut self) -> Result<()> {
        self.sending.send_replace(false);
        (&mut self.task).await.map_err(|error| anyhow!("the load generator ended: {error}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Load {
    /// Opens the connections that it needs, and begins to send.
    ///
    /// # Errors
    /// When there is nothing to send, or nobody listens.
    pub async fn start(self, journal: &Journal) -> Result<Running> {
        ensure!(!self.protocols.is_empty() && !self.shapes.is_empty(), "the load {} has nothing to send", self.name);
        let connections = Connections::new(self.entry, self.again);
        for protocol in &self.protocols {
            connections.prepare(*protocol, self.pace.at_once().div_ceil(self.protocols.len())).await?;
        }
        let (shapes, watched) = watch::channel(self.shapes.clone());
        let (sending, on) = watch::channel(true);
        let pace = self.pace;
        let sender = Sender {
            load: self,
            connections,
            shapes: watched,
            on,
            journal: journal.clone(),
            number: AtomicUsize::new(0),
        };
        let began = Instant::now();
        let task = tokio::spawn(async move {
            let sender = Arc::new(sender);
            match pace {
                Pace::PerSecond(rate) => open(sender, rate).await,
                Pace::AtOnce(at_once) => closed(sender, at_once).await,
                Pace::Once(number) => once(sender, number).await,
            }
        });
        Ok(Running { shapes, sending, task, began })
    }
}

impl Pace {
    /// How many connections are worth opening beforehand: one for each request that may be under way, or for those of a
    /// quarter of a second.
    fn at_once(self) -> usize {
        match self {
            // A rate is a small number.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Self::PerSecond(rate) => (rate / 4.0).ceil() as usize,
            Self::AtOnce(at_once) | Self::Once(at_once) => at_once,
        }
    }
}

struct Sender {
    load: Load,
    connections: Connections,
    shapes: watch::Receiver<Vec<Shape>>,
    on: watch::Receiver<bool>,
    journal: Journal,
    number: AtomicUsize,
}

async fn open(sender: Arc<Sender>, per_second: f64) {
    let mut tick = interval(Duration::from_secs_f64(1.0 / per_second));
    // What could not be sent in time is sent all the same: the rate is kept.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    while *sender.on.borrow() {
        let due = tick.tick().await.into_std();
        let sender = Arc::clone(&sender);
        requests.spawn(async move { sender.one(due).await });
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
}

async fn closed(sender: Arc<Sender>, at_once: usize) {
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let sender = Arc::clone(&sender);
        workers.spawn(async move {
            while *sender.on.borrow() {
                sender.one(Instant::now()).await;
            }
        });
    }
    workers.join_all().await;
}

async fn once(sender: Arc<Sender>, number: usize) {
    let mut requests = JoinSet::new();
    let due = Instant::now();
    for _ in 0..number {
        let sender = Arc::clone(&sender);
        requests.spawn(async move { sender.one(due).await });
    }
    requests.join_all().await;
}

impl Sender {
    async fn one(&self, due: Instant) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (shape, protocol) = self.choice(number);
        let id = format!("{}-{}", self.load.host, self.journal.number());
        let sent = Instant::now();
        let exchange = || self.exchange(protocol, &shape, &id);
        let mut answer = exchange().await;
        let mut broke = None;
        if let Err(Broken { why, begun: false }) = &answer
            && self.load.again
            && shape.method == Method::GET
        {
            broke = Some(format!("{why:#}"));
            // What died takes connections for a moment longer.
            tokio::time::sleep(BEFORE_AGAIN).await;
            self.connections.renew();
            answer = exchange().await;
        }
        let clock = self.journal.clock();
        let mut sample = Sample {
            load: self.load.name,
            id,
            method: shape.method.clone(),
            stream: shape.events.is_some(),
            due: clock.seconds(due),
            sent: clock.seconds(sent),
            ended: clock.seconds(Instant::now()),
            broke,
            ..Sample::default()
        };
        match answer {
            Ok(whole) => {
                let text = |name: &str| whole.headers.get(name).and_then(|value| value.to_str().ok());
                sample.head = Some(clock.seconds(whole.head));
                sample.cold = text("rouse-cold-start") == Some("true");
                let timing = text("server-timing");
                sample.held = timing.is_some();
                sample.last = text("connection") == Some("close");
                sample.released = timing.and_then(held_ms).map(|held| sample.sent + held / 1e3);
                sample.queued = timing.map(queued);
                sample.pod = text("x-pod").map(str::to_owned);
                sample.arrived = text("x-arrived").and_then(|micros| clock.of_unix_micros(micros.parse().ok()?));
                sample.failure = incomplete(&whole, &shape);
            }
            Err(broken) => sample.failure = Some(format!("{:#}", broken.why)),
        }
        let failed = sample.failure.is_some();
        self.journal.add(sample);
        if failed {
            // A closed loop on a dead server would spin, and its failures would say nothing more.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn exchange(&self, protocol: super::Protocol, shape: &Shape, id: &str) -> Result<Whole, Broken> {
        let exchange = self.connections.exchange(protocol, &self.load.host, shape, id);
        match timeout(self.load.patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow!("no whole answer within {:?}", self.load.patience).into()),
        }
    }

    fn choice(&self, number: usize) -> (Shape, super::Protocol) {
        let shapes = self.shapes.borrow();
        let shape = shapes[number % shapes.len()].clone();
        let protocol = self.load.protocols[number / shapes.len() % self.load.protocols.len()];
        (shape, protocol)
    }
}

/// From a request's arrival at the activator to its release to a pod, in milliseconds, by `Server-Timing`.
fn held_ms(timing: &str) -> Option<f64> {
    let entries = server_timing(timing);
    let of = |phase: &str| entries.iter().find(|(name, _)| name == phase).map(|(_, millis)| *millis);
    Some(of(TOTAL)? - of(FIRST_BYTE)?)
}

/// When a request came into the queue and when it was let go, by `Server-Timing`: see [`Sample::queued`].
fn queued(timing: &str) -> (f64, f64) {
    let entries = server_timing(timing);
    let seconds = |phase: &dyn Fn(&str) -> bool| {
        entries.iter().filter(|(name, _)| phase(name)).map(|(_, millis)| millis / 1e3).sum::<f64>()
    };
    (-seconds(&|phase| ["patch", "schedule", "start", "probe"].contains(&phase)), seconds(&|phase| phase == "held"))
}

/// What is wrong with an answer that ended as if it were whole.
fn incomplete(whole: &Whole, shape: &Shape) -> Option<String> {
    if whole.status != 200 {
        let text = String::from_utf8_lossy(&whole.body);
        return Some(format!("{} {}", whole.status, text.chars().take(300).collect::<String>()));
    }
    let expected = shape.events?;
    let events = String::from_utf8_lossy(&whole.body).matches("data: event ").count();
    (events != expected).then(|| format!("the stream had {events} of {expected} events"))
}
