//! The application behind the functions of the end-to-end tests: small, quick to start, and able to
//! misbehave on demand.
//!
//! Its behaviour comes from the environment ([`settings`]) and from the path of a request ([`routes`]).
//! With `get URL` it is a client instead ([`get`]).

mod connection;
mod get;
mod grpc;
mod reply;
mod routes;
mod server;
mod settings;
mod spoilt;
mod websocket;

use std::process::ExitCode;

use get::Get;
use settings::Settings;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("get") {
        return outcome(Get::parse(arguments), async |get| get.run().await.map_err(|error| error.to_string()));
    }
    outcome(Settings::from_environment(), async |settings| {
        server::run(settings).await.map_err(|error| error.to_string())
    })
}

/// Exits with 2 for what was asked wrongly, and with 1 for what failed.
fn outcome<T>(asked: Result<T, String>, work: impl AsyncFnOnce(T) -> Result<(), String>) -> ExitCode {
    let (code, said) = match asked {
        Err(message) => (2, Err(message)),
        // One thread: it starts sooner, and most functions are no larger.
        Ok(asked) => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => (1, runtime.block_on(work(asked))),
            Err(error) => (1, Err(error.to_string())),
        },
    };
    match said {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(code)
        }
    }
}
