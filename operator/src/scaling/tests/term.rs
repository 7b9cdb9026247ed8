//! A term as a whole, over TCP.

use std::time::Duration;

use crds::labels;
use tokio::{net::TcpStream, time::timeout};

use super::{Cluster, context};
use crate::{
    link::tests::fake::{Fake, channel},
    scaling,
};

/// Nothing here takes longer.
const SOON: Duration = Duration::from_secs(60);

/// The clock runs here, since the kernel's sockets do not wait for a stopped one.
#[tokio::test]
async fn a_term_listens_then_says_where_and_ends_when_it_is_dropped() {
    let cluster = Cluster::new();
    cluster.activator("a");
    let (cx, term, _events) = context(&cluster);
    let current = term.borrow().unwrap();
    let handle = cx.handle.clone();
    let run = tokio::spawn(scaling::run(cx, current));
    let published = async {
        loop {
            let annotations = cluster.api().lease["metadata"]["annotations"].clone();
            if let (Some(address), Some(fingerprint)) =
                (annotations[labels::LINK_ADDRESS].as_str(), annotations[labels::LINK_FINGERPRINT].as_str())
            {
                return (address.to_owned(), fingerprint.to_owned());
            }
            tokio::task::yield_now().await;
        }
    };
    let (address, fingerprint) = timeout(SOON, published).await.unwrap();
    assert_eq!(cluster.news(), ["lease annotations resourceVersion"]);
    let stream = TcpStream::connect(&address).await.unwrap();
    let fake = Fake::start(channel(stream, &fingerprint).await.unwrap(), "a").await;
    fake.load(|load| load.ready = vec!["p".to_owned()]).await;
    let known = async {
        while handle.ready_pods("f-1", &["p".to_owned()]) != Some(1) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, known).await.unwrap();
    let other = link::pin::Identity::generate().unwrap();
    let stream = TcpStream::connect(&address).await.unwrap();
    assert!(channel(stream, &other.fingerprint).await.is_err(), "another certificate is not trusted");
    run.abort();
    timeout(SOON, fake.ended()).await.unwrap();
    assert_eq!(handle.ready_pods("f-1", &["p".to_owned()]), None);
}
