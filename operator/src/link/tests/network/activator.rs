//! An activator on a host of its own: it serves requests, counts them truly, keeps to orders, and speaks the real protocol
//! with the same deadlines and pauses as the real one. Its process can stand still.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use crds::labels;
use hyper_util::rt::TokioIo;
use link::{
    HEARTBEAT, pin,
    v1::{FunctionCount, Hello, Orders, PodState, Report, link_client::LinkClient},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, mpsc},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use turmoil::net::TcpStream;

use super::truth::{FUNCTION, Truth, now};
use crate::scaling::tests::Cluster;

const DEADLINE: Duration = Duration::from_secs(3);
const STUCK: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(2);
const OUTBOX: usize = 4;
const GAP: Duration = Duration::from_millis(20);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// How often it looks at the Lease, and a process that stands still whether it still does.
const LOOK: Duration = Duration::from_millis(50);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One process of it. Clones are the same one.
#[derive(Clone)]
pub(super) struct Activator {
    pub(super) name: &'static str,
    pub(super) truth: Arc<Truth>,
    pub(super) cluster: Cluster,
    boot: u32,
    frozen: Arc<AtomicBool>,
    news: Arc<Notify>,
    /// What it sees of the cluster is so old.
    lag: Duration,
}

/// What was said on one stream.
#[derive(Default)]
struct Told {
    sequence: u64,
    count: Option<FunctionCount>,
    pods: BTreeSet<String>,
}

/// A process, from its start until it is killed.
pub(super) async fn run(name: &'static str, truth: Arc<Truth>, cluster: Cluster, seed: u64) -> turmoil::Result {
    let boot = truth.start(name);
    let (frozen, news) = {
        let inner = truth.lock();
        let this = &inner.activators[name];
        (Arc::clone(&this.frozen), Arc::clone(&this.news))
    };
    let mut random = StdRng::seed_from_u64(seed ^ (u64::from(boot) << 32) ^ (u64::from(name.as_bytes()[0]) << 40));
    let lag = Duration::from_millis(random.random_range(0..100));
    let this = Activator { name, truth, cluster, boot, frozen, news, lag };
    tokio::join!(this.clone().traffic(random), this.clone().look(), this.attach());
    Ok(())
}

impl Activator {
    async fn thawed(&self) {
        while self.frozen.load(Ordering::Acquire) {
            sleep(LOOK / 5).await;
        }
    }

    async fn traffic(self, mut random: StdRng) {
        loop {
            sleep(Duration::from_millis(random.random_range(30..500))).await;
            self.thawed().await;
            if !self.truth.lock().traffic {
                continue;
            }
            self.truth.with(self.name, |process, _| {
                process.requests += 1;
                process.held += 1;
            });
            let long = random.random_bool(0.1);
            self.serve(Duration::from_millis(random.random_range(if long { 1000..3000 } else { 1..300 })));
            self.news.notify_one();
        }
    }

    /// What time and the cluster change.
    async fn look(self) {
        loop {
            sleep(LOOK).await;
            self.thawed().await;
            self.serve(Duration::from_millis(100));
            let (waits, pods) = self.truth.with(self.name, |process, inner| {
                let there = inner.pods.values().any(|pod| pod.revision == inner.serving && pod.leaving.is_none());
                (process.held > 0, there)
            });
            let serving = self.truth.lock().serving.clone();
            if waits && !pods && self.cluster.replicas(&serving) == 0 {
                self.cluster.api().scale(&serving, 1);
            }
        }
    }

    /// Sends who waits to pods, each for so long, as far as there are any that may take something.
    fn serve(&self, each: Duration) {
        while let Some(pod) = self.truth.with(self.name, |process, inner| {
            let now = now();
            let sees = |(_, pod): &(&String, &super::truth::Pod)| {
                pod.from + self.lag <= now && pod.leaving.is_none_or(|since| now < since + self.lag)
            };
            let waits = process.held > 0;
            let mut pods = inner.pods.iter().filter(sees).filter(|(uid, _)| !process.is_drained(uid, now));
            // Not always the same: by the number of requests.
            let count = pods.clone().count();
            let at = usize::try_from(process.requests).unwrap() % count.max(1);
            let pod = pods.nth(at).filter(|_| waits)?.0.clone();
            process.held -= 1;
            *process.in_flight.entry(pod.clone()).or_default() += 1;
            Some(pod)
        }) {
            let this = self.clone();
            tokio::spawn(async move {
                sleep(each).await;
                this.thawed().await;
                this.truth.with(this.name, |process, _| {
                    *process.in_flight.get_mut(&pod).unwrap() -= 1;
                    process.ended = Some(now());
                });
            });
        }
    }

    fn leader(&self) -> Option<(SocketAddr, String)> {
        let lease = self.cluster.api().lease["metadata"]["annotations"].clone();
        let address = lease[labels::LINK_ADDRESS].as_str()?.parse().ok()?;
        Some((address, lease[labels::LINK_FINGERPRINT].as_str()?.to_owned()))
    }

    async fn replaced(&self, fingerprint: &str) {
        loop {
            sleep(LOOK).await;
            self.thawed().await;
            if self.leader().is_none_or(|(_, named)| named != fingerprint) {
                return;
            }
        }
    }

    async fn attach(self) {
        let mut pause = SHORTEST;
        loop {
            self.thawed().await;
            let shy = self.truth.lock().activators[self.name].shy;
            let Some((address, fingerprint)) = self.leader().filter(|_| !shy) else {
                sleep(LOOK).await;
                continue;
            };
            let began = Instant::now();
            tokio::select! {
                _ = Box::pin(self.attend(address, &fingerprint)) => {}
                () = self.replaced(&fingerprint) => {}
            }
            pause = if began.elapsed() > LONGEST { SHORTEST } else { (pause * 2).min(LONGEST) };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.replaced(&fingerprint) => {}
            }
        }
    }

    async fn attend(&self, address: SocketAddr, fingerprint: &str) -> Result<(), Failure> {
        let channel = timeout(DEADLINE, self.connect(address, fingerprint)).await??;
        self.thawed().await;
        let (outbox, reports) = mpsc::channel(OUTBOX);
        let mut told = Told::default();
        let pod_uid = format!("uid-{}", self.name);
        let hello =
            Hello { boot_id: self.boot.to_string(), pod_name: self.name.into(), pod_uid, version: "test".into() };
        let first = Report { hello: Some(hello), ..self.report(&mut told) };
        let totals = self.truth.with(self.name, |process, _| process.totals(now()));
        self.truth.hello(self.name, fingerprint, self.boot, totals);
        self.truth.said(self.name, fingerprint);
        outbox.send(first).await?;
        let mut request = Request::new(ReceiverStream::new(reports));
        request.metadata_mut().insert("authorization", format!("Bearer token-{}", self.name).parse()?);
        let mut client = LinkClient::new(channel);
        let mut orders = timeout(DEADLINE, client.attach(request)).await??.into_inner();
        let (mut sent, mut taken) = (Instant::now(), false);
        loop {
            let message = tokio::select! {
                message = orders.message() => Some(message?.ok_or("closed")?),
                () = async {
                    sleep_until(sent + GAP).await;
                    self.news.notified().await;
                } => None,
                () = sleep_until(sent + HEARTBEAT) => None,
            };
            self.thawed().await;
            if let Some(message) = message {
                if !std::mem::replace(&mut taken, true) {
                    self.truth.taken(self.name, fingerprint);
                }
                self.obey(&message);
            }
            let report = self.report(&mut told);
            self.truth.said(self.name, fingerprint);
            timeout(STUCK, outbox.send(report)).await??;
            sent = Instant::now();
        }
    }

    fn obey(&self, orders: &Orders) {
        self.truth.obey(self.name, orders);
        self.serve(Duration::from_millis(100));
    }

    async fn connect(&self, address: SocketAddr, fingerprint: &str) -> Result<Channel, Failure> {
        let tls = TlsConnector::from(pin::client(fingerprint)?);
        let frozen = Arc::clone(&self.frozen);
        let connector = tower::service_fn(move |_| {
            let (tls, frozen) = (tls.clone(), Arc::clone(&frozen));
            async move {
                let stream = TcpStream::connect(address).await?;
                let stream = Freezing { stream, frozen, look: Box::pin(sleep(LOOK)) };
                let name = ServerName::try_from(pin::SERVER_NAME).map_err(io::Error::other)?;
                io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://rouse-operator")
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true);
        Ok(endpoint.connect_with_connector(connector).await?)
    }

    /// What is new since the last one on this stream.
    fn report(&self, told: &mut Told) -> Report {
        told.sequence += 1;
        let leap = self.truth.lock().activators[self.name].leap;
        self.truth.with(self.name, |process, inner| {
            let now = now();
            let totals = process.totals(now);
            let busy = process.held > 0 || process.flying() > 0;
            let idle = if busy { Duration::ZERO } else { now - process.ended.unwrap_or(process.started) };
            let count = FunctionCount {
                uid: FUNCTION.into(),
                in_flight_request_ms: totals.in_flight_request_ms,
                held_request_ms: totals.held_request_ms,
                requests: totals.requests,
                in_flight: process.flying(),
                held: process.held,
                ..FunctionCount::default()
            };
            let news = totals.requests > 0 && told.count.as_ref() != Some(&count);
            if news {
                told.count = Some(count.clone());
            }
            let state = |uid: &String, gone: bool| PodState {
                uid: uid.clone(),
                function_uid: FUNCTION.into(),
                revision: inner.pods.get(uid).map_or_else(|| "gone".to_owned(), |pod| pod.revision.clone()),
                ready: !gone,
                drained: process.is_drained(uid, now),
                in_flight: process.in_flight.get(uid).copied().unwrap_or_default(),
                gone,
            };
            let sees = |pod: &super::truth::Pod| pod.from + self.lag <= now;
            let there: BTreeSet<String> =
                inner.pods.iter().filter(|(_, pod)| sees(pod)).map(|(uid, _)| uid.clone()).collect();
            let gone: Vec<PodState> = told.pods.difference(&there).map(|uid| state(uid, true)).collect();
            let pods = there.iter().map(|uid| state(uid, false)).chain(gone).collect();
            told.pods = there;
            Report {
                hello: None,
                sequence: told.sequence,
                clock_ms: milliseconds(now - process.started + leap),
                functions: news.then(|| FunctionCount { idle_ms: milliseconds(idle), ..count }).into_iter().collect(),
                pods,
                acknowledgements: process.acknowledgement().into_iter().collect(),
            }
        })
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

/// A connection of a process that may stand still: the kernel takes what comes, the process nothing.
struct Freezing {
    stream: TcpStream,
    frozen: Arc<AtomicBool>,
    look: Pin<Box<Sleep>>,
}

impl Freezing {
    fn poll_thawed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.frozen.load(Ordering::Acquire) {
            ready!(self.look.as_mut().poll(cx));
            self.look = Box::pin(sleep(LOOK / 5));
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Freezing {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_thawed(cx));
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Freezing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_thawed(cx));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
