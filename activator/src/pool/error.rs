//! How an exchange with a pod breaks.

use std::error::Error as _;
use std::io;

use thiserror::Error;

use crate::path::body::BodyError;

/// What a caller is told of a response that is not in order.
pub const NOT_HTTP: &str = "its response is not valid HTTP";

/// Why an exchange that had begun did not come to its end.
#[derive(Debug, Error)]
pub enum Broken {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The pod closed it before the response was whole.
    #[error("the connection ended early")]
    Ended,
    /// The pod's response is none, or not everybody would read it alike.
    #[error("{0}")]
    NotHttp(&'static str),
    /// The request's body did not come to its end.
    #[error("the request's body ended early: {0}")]
    Upload(Box<BodyError>),
    /// The same over HTTP/2.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

impl Broken {
    /// Whether the connection or the stream went before there was an answer, and it was not an answer that made it go.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Io(_) | Self::Ended => true,
            Self::NotHttp(_) | Self::Upload(_) => false,
            Self::Http2(error) => {
                let h2 = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
                !(error.is_parse() || h2.is_some_and(h2::Error::is_library))
            }
        }
    }

    /// Whether it was the request's body that ended early.
    pub fn is_caller(&self) -> bool {
        match self {
            Self::Upload(_) => true,
            Self::Http2(error) => error.is_user() || error.is_body_write_aborted(),
            Self::Io(_) | Self::Ended | Self::NotHttp(_) => false,
        }
    }

    /// What a caller is told.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::NotHttp(_) => NOT_HTTP,
            Self::Http2(error) if error.is_parse() => NOT_HTTP,
            Self::Ended => "it closed the connection before the response",
            Self::Http2(error) if error.is_incomplete_message() => "it closed the connection before the response",
            Self::Io(_) | Self::Http2(_) | Self::Upload(_) => "the connection to it was lost",
        }
    }
}
