//! A replica of the operator on a host of its own: while it has a mandate it scales and serves activators with everything
//! that a leader has, but for the listener, which is the simulated network's.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use link::{pin::Identity, v1::Orders};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use turmoil::net::TcpListener;

use super::truth::{Truth, now};
use crate::{
    leadership::Term,
    link::{
        Board, limits, publish,
        server::{self, Connection},
        service::Service,
        token::Tokens,
    },
    scaling::{
        Context, hearing,
        tests::{Cluster, context_in},
    },
};

const PORT: u16 = 9443;

/// To lead in this epoch, and to be sure of it until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mandate {
    pub(super) epoch: u64,
    pub(super) until: Duration,
}

impl Mandate {
    fn term(self) -> Term {
        Term { epoch: self.epoch, valid_until: Instant::now() + self.until.saturating_sub(now()) }
    }
}

/// A process, from its start until it is killed.
pub(super) async fn run(
    name: &'static str,
    truth: Arc<Truth>,
    cluster: Cluster,
    mut mandates: watch::Receiver<Option<Mandate>>,
) -> turmoil::Result {
    loop {
        let Some(mandate) = *mandates.borrow_and_update() else {
            mandates.changed().await?;
            continue;
        };
        let mut over = mandates.clone();
        let other = |now: &Option<Mandate>| now.is_none_or(|now| now.epoch != mandate.epoch);
        tokio::select! {
            () = lead(name, &truth, &cluster, mandate, mandates.clone()) => {}
            _ = over.wait_for(other) => {}
        }
    }
}

async fn lead(
    name: &'static str,
    truth: &Truth,
    cluster: &Cluster,
    mandate: Mandate,
    mut mandates: watch::Receiver<Option<Mandate>>,
) {
    let (term, terms) = watch::channel(Some(mandate.term()));
    let (cx, _unwritten) = context_in(cluster, terms);
    let follow = async {
        while mandates.changed().await.is_ok() {
            term.send_replace(mandates.borrow_and_update().map(Mandate::term));
        }
    };
    let served = Arc::clone(&cx);
    let hear = |board, orders| serve(name, truth, served, mandate.epoch, board, orders);
    tokio::select! {
        () = Box::pin(hearing(cx, mandate.term(), hear)) => {}
        () = follow => {}
    }
}

async fn serve(
    name: &'static str,
    truth: &Truth,
    cx: Arc<Context>,
    epoch: u64,
    board: Arc<Board>,
    orders: watch::Receiver<Arc<Orders>>,
) {
    let identity = Identity::generate().unwrap();
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.unwrap();
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let tokens = Tokens::new(cx.client.clone(), &cx.settings.namespace, &cx.settings.activator_service_account);
    let service = Service::new(board, tokens, orders, over.clone(), cx.metrics.link.clone());
    let (connections, handshaken) = mpsc::channel(16);
    let acceptor = TlsAcceptor::from(Arc::clone(&identity.config));
    truth.leads(epoch, &identity.fingerprint, cx.metrics.link.clone());
    let accept = async {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let (acceptor, connections) = (acceptor.clone(), connections.clone());
            tokio::spawn(async move {
                if let Ok(Ok(stream)) = timeout(limits::HANDSHAKE, acceptor.accept(stream)).await {
                    let _ = connections.send(Ok(Connection::new(stream, peer, None))).await;
                }
            });
        }
    };
    let address = SocketAddr::new(turmoil::lookup(name), PORT);
    let announce = async {
        publish::announce(&cx.client, &cx.settings.namespace, &cx.leadership, address, &identity.fingerprint).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = accept => {}
        served = server::transport(ReceiverStream::new(handshaken), service, over) => served.unwrap(),
        () = announce => {}
    }
}
