//! The API client: no retries behind our back, and a deadline on every call.

use std::{future::Future, time::Duration};

use kube::{Client, Config};

/// Bytes of a watch must come at least this often. The API server sends a bookmark about every minute, so a connection
/// that is silent for longer is dead and nobody has said so.
pub const WATCH_SILENCE: Duration = Duration::from_secs(90);
/// Opening a connection to the API server.
pub const CONNECT: Duration = Duration::from_secs(5);

/// Two clients with pools of their own, so that a call never waits behind the start of a watch.
#[derive(Clone)]
pub struct Clients {
    /// For single requests; each goes through [`within`].
    pub call: Client,
    /// For lists and watches.
    pub watch: Client,
}

/// A single request failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server did not answer in time. The write may have happened or not.
    #[error("the API server did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// It answered with an error, or could not be reached.
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

impl CallError {
    /// The HTTP status of the API server's answer, if it gave one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Kube(kube::Error::Api(answer)) => Some(answer.code),
            _ => None,
        }
    }

    /// The API server's own words, if it answered.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Kube(kube::Error::Api(answer)) => Some(&answer.message),
            _ => None,
        }
    }
}

/// Clients for the cluster that this process runs in; outside a cluster, for the current context of the kubeconfig.
///
/// kube's own retry layer is off: it would repeat a request 15 times behind a caller who has a deadline and a policy of
/// its own.
///
/// # Errors
/// When no configuration is found or it is not valid.
pub async fn connect() -> Result<Clients, ConnectError> {
    let mut config = Config::infer().await?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(WATCH_SILENCE);
    Ok(Clients { call: Client::try_from(config.clone())?, watch: Client::try_from(config)? })
}

/// The clients could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither an in-cluster configuration nor a kubeconfig.
    #[error("no way to the API server: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The configuration is not usable.
    #[error("the API client cannot be made: {0}")]
    Client(#[from] kube::Error),
}

/// Runs one request with a deadline.
///
/// # Errors
/// [`CallError`]; after [`CallError::Deadline`] nobody knows whether a write took place.
pub async fn within<T>(deadline: Duration, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Deadline(deadline)),
    }
}
