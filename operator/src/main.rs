//! The operator's program.

use clap::Parser;
use operator::{args::Args, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    runtime::telemetry::init(&args.log, args.log_format);
    let stop = runtime::shutdown::on_signal()?;
    Box::pin(run::until(stop, args)).await
}
