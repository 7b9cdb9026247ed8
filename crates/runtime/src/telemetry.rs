//! Logs: one line an event, JSON unless asked otherwise.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For machines.
    #[default]
    Json,
    /// For people.
    Text,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(format!("{other:?} is no log format: write json or text")),
        }
    }
}

/// Starts logging to standard error. `filter` is `tracing`'s syntax, such as `info` or `info,activator::wake=debug`; what
/// it does not understand is said on standard error and `info` is taken.
pub fn init(filter: &str, format: Format) {
    // A second start, as tests do, keeps the first subscriber.
    let _ = subscriber(filter, format, io::stderr).try_init();
}

/// The same, written elsewhere.
pub fn subscriber<W>(filter: &str, format: Format, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("the log filter {filter:?} is not valid ({error}): taking \"info\"");
        EnvFilter::new("info")
    });
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Json => Box::new(registry.with(fmt::layer().json().flatten_event(true).with_writer(writer))),
        Format::Text => Box::new(registry.with(fmt::layer().with_writer(writer))),
    }
}
