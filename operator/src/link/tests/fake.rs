//! An activator for tests: it speaks the real protocol over real TLS, and does what it is told.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use link::{
    pin,
    v1::{Acknowledgement, FunctionCount, Hello, Orders, PodState, Report, link_client::LinkClient},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, interval},
};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

/// A channel over one connection, with the certificate pinned.
pub(crate) async fn channel<S>(stream: S, fingerprint: &str) -> io::Result<Channel>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connector = TlsConnector::from(pin::client(fingerprint).map_err(io::Error::other)?);
    let name = ServerName::try_from(pin::SERVER_NAME).map_err(io::Error::other)?;
    let stream = connector.connect(name, stream).await?;
    let mut once = Some(TokioIo::new(stream));
    let connect = tower::service_fn(move |_| {
        let stream = once.take().ok_or_else(|| io::Error::other("one connection only"));
        async move { stream }
    });
    Endpoint::from_static("http://rouse-operator").connect_with_connector(connect).await.map_err(io::Error::other)
}

/// Opens a stream. The first report is already on its way.
pub(crate) async fn attach(
    channel: Channel,
    token: &str,
    first: Report,
) -> Result<(mpsc::Sender<Report>, Streaming<Orders>), Status> {
    let (reports, receiver) = mpsc::channel(64);
    reports.send(first).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(receiver));
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let orders = LinkClient::new(channel).attach(request).await?.into_inner();
    Ok((reports, orders))
}

/// A first report of the activator whose pod has this name.
pub(crate) fn hello(name: &str, boot: &str) -> Report {
    let hello =
        Hello { boot_id: boot.into(), pod_name: name.into(), pod_uid: format!("uid-{name}"), version: "test".into() };
    Report { hello: Some(hello), sequence: 1, clock_ms: 1_000_000, ..Report::default() }
}

/// What the activator has to report of the Function `uf`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub(crate) held: u32,
    pub(crate) in_flight: u32,
    pub(crate) requests: u64,
    /// Since when there is no request.
    pub(crate) idle_since: Option<Instant>,
    pub(crate) ready: Vec<String>,
    /// It says nothing, and keeps its stream.
    pub(crate) mute: bool,
    /// It does not acknowledge.
    pub(crate) deaf: bool,
    /// It acknowledges as if the order had been given once, long ago.
    pub(crate) stale: bool,
}

/// An activator that lives by itself: a heartbeat a second, a report at once on each change, an acknowledgement of each
/// order.
pub(crate) struct Fake {
    load: Arc<Mutex<Load>>,
    orders: Arc<Mutex<Vec<Orders>>>,
    poke: mpsc::Sender<()>,
    task: JoinHandle<Option<Status>>,
}

impl Fake {
    pub(crate) async fn start(channel: Channel, name: &str) -> Self {
        let load = Arc::new(Mutex::new(Load { idle_since: Some(Instant::now()), ..Load::default() }));
        let first = Report { functions: vec![count(&load.lock().unwrap())], ..hello(name, "boot") };
        let (reports, stream) = attach(channel, &format!("token-{name}"), first).await.unwrap();
        let (poke, poked) = mpsc::channel(8);
        let orders = Arc::default();
        let task = tokio::spawn(live(reports, stream, Arc::clone(&load), Arc::clone(&orders), poked));
        Self { load, orders, poke, task }
    }

    /// Every message with orders since the last call.
    pub(crate) fn news(&self) -> Vec<Orders> {
        std::mem::take(&mut *self.orders.lock().unwrap())
    }

    /// Changes what is reported, at once.
    pub(crate) async fn load(&self, change: impl FnOnce(&mut Load)) {
        change(&mut self.locked());
        self.poke.send(()).await.unwrap();
    }

    fn locked(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap()
    }

    /// Waits until the leader ends the stream.
    pub(crate) async fn ended(self) -> Option<Status> {
        self.task.await.unwrap()
    }

    /// Breaks the stream.
    pub(crate) fn vanish(self) {
        self.task.abort();
    }
}

fn count(load: &Load) -> FunctionCount {
    let idle = load.idle_since.map_or(Duration::ZERO, |since| since.elapsed());
    FunctionCount {
        uid: "uf".into(),
        requests: load.requests,
        in_flight: load.in_flight,
        held: load.held,
        idle_ms: u64::try_from(idle.as_millis()).unwrap(),
        ..FunctionCount::default()
    }
}

async fn live(
    reports: mpsc::Sender<Report>,
    mut stream: Streaming<Orders>,
    load: Arc<Mutex<Load>>,
    log: Arc<Mutex<Vec<Orders>>>,
    mut poked: mpsc::Receiver<()>,
) -> Option<Status> {
    let mut heartbeat = interval(Duration::from_secs(1));
    let (start, mut sequence, mut orders) = (Instant::now(), 1, Orders::default());
    loop {
        tokio::select! {
            message = stream.message() => match message {
                Ok(Some(message)) => {
                    log.lock().unwrap().push(message.clone());
                    let news = message.drains != orders.drains;
                    orders = message;
                    if !news {
                        continue;
                    }
                }
                Ok(None) => return None,
                Err(status) => return Some(status),
            },
            Some(()) = poked.recv() => {}
            _ = heartbeat.tick() => {}
        }
        let load = load.lock().unwrap().clone();
        if load.mute {
            continue;
        }
        sequence += 1;
        let ack = |drain: &link::v1::Drain| Acknowledgement {
            epoch: orders.epoch,
            function_uid: drain.function_uid.clone(),
            order: drain.order,
            held: load.held,
            in_flight: load.in_flight,
            requests: load.requests,
            issued_ms: if load.stale { 0 } else { orders.issued_ms },
        };
        let pod = |uid: &String| PodState {
            uid: uid.clone(),
            function_uid: "uf".into(),
            revision: "f-1".into(),
            ready: true,
            ..PodState::default()
        };
        let report = Report {
            hello: None,
            sequence,
            clock_ms: 1_000_000 + u64::try_from(start.elapsed().as_millis()).unwrap(),
            functions: vec![count(&load)],
            pods: load.ready.iter().map(pod).collect(),
            acknowledgements: if load.deaf { Vec::new() } else { orders.drains.iter().map(ack).collect() },
        };
        if reports.send(report).await.is_err() {
            return stream.message().await.err();
        }
    }
}
