//! The activator's program.

use activator::{app, args::Args};
use clap::Parser as _;

// musl's own allocator is several times slower under threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Requests are served by threads of their own (`server::workers`); this is for watches, wakes and the link.
#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    runtime::telemetry::init(&args.log_filter(), args.log_format);
    app::run(args).await
}
