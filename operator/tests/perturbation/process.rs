//! The operator's process: watches, reconcilers, scaling and Events, put together as in production. It always leads: the
//! election has tests of its own.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::Duration,
};

use clap::Parser;
use operator::{
    args::Args,
    context::Parts,
    events::Events,
    leadership::{Leadership, Term},
    link::publish,
    scaling,
    settings::Settings,
    stores::Stores,
    work::Work,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    activator::Activator,
    server::{Server, client},
};

/// From the death of a process to the start of the next.
const RESTART: Duration = Duration::from_secs(1);
/// Where the leader would be reached.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9443);

/// One process after the other, for ever: each runs until the server has it die.
pub(crate) async fn run(server: &Arc<Server>, activator: &Arc<Activator>) -> Infallible {
    let mut crashes = server.crashes.subscribe();
    let mut epoch = 0;
    loop {
        epoch += 1;
        server.begin_life();
        tokio::select! {
            () = live(server, activator, epoch) => unreachable!("the operator never ends by itself"),
            crashed = crashes.changed() => crashed.expect("the server is there"),
        }
        sleep(RESTART).await;
    }
}

/// One life. Dropped, it leaves nothing behind but what it has written.
async fn live(server: &Arc<Server>, activator: &Arc<Activator>, epoch: u64) {
    static ARGS: LazyLock<Args> =
        LazyLock::new(|| Args::try_parse_from(["operator", "--pod-namespace=rouse-system"]).unwrap());
    let args = &*ARGS;
    let mut tasks = JoinSet::new();
    let (watches, calls) = (client(server), client(server));
    let stores = Stores::watch(&watches, &args.pod_namespace, &mut tasks);
    stores.synced().await;
    let metrics = operator::metrics::Metrics::default();
    let term = Term { epoch, valid_until: Instant::now() + Duration::from_secs(1_000_000) };
    let (_leads, terms) = watch::channel(Some(term));
    let leadership = Leadership::fixed(terms);
    let (events, write_events) = Events::new(calls.clone(), &args.pod_name, leadership.clone(), metrics.clone());
    tasks.spawn(write_events);
    let parts = Parts {
        settings: Settings::new(args),
        client: calls.clone(),
        stores,
        events,
        leadership: leadership.clone(),
        metrics,
    };
    let work = Work::new(args, parts, scaling::Metrics::default());
    let activator = Arc::clone(activator);
    let scale = scaling::hearing(Arc::clone(work.scaling()), term, |board, orders| async move {
        let mut stream = JoinSet::new();
        stream.spawn(activator.report(board, orders));
        publish::announce(&calls, "rouse-system", &leadership, ADDRESS, "fingerprint").await;
        stream.join_next().await;
    });
    // A task of its own: its clock, which ticks each second, does not wake the reconcilers then, and the runs take half
    // the time.
    let mut scaling = JoinSet::new();
    scaling.spawn(scale);
    work.with(async { _ = scaling.join_next().await }).await;
}
