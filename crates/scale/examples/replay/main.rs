//! Replays a trace of arrivals against this project's sizing and against fixed keep-alives; see `--help`.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use rand::{SeedableRng, rngs::StdRng};
use scale::Settings;

mod args;
mod durations;
mod error;
mod function;
mod outcome;
mod plot;
mod policy;
mod synthetic;
mod trace;
mod world;

use args::Args;
use error::Error;
use outcome::Outcome;
use policy::{KeepAlive, Policy, Rouse};
use world::Replica;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Error> {
    let mut functions = match (&args.trace, args.synthetic) {
        (Some(path), _) => trace::read(path, args.functions, args.minutes)?,
        (None, seed) => synthetic::functions(seed.unwrap_or_default()),
    };
    if let Some(path) = &args.durations {
        durations::read(path)?.give(&mut functions);
    }
    let minutes = functions.iter().map(|function| function.minutes()).max().unwrap_or(0);
    let minutes = args.minutes.map_or(minutes, |most| minutes.min(most));
    type Make = fn(&Args) -> Box<dyn Policy>;
    let policies: [(&str, Make); 5] = [
        ("rouse", |args| Box::new(Rouse::new(settings(args), false))),
        ("rouse, adaptive idle", |args| Box::new(Rouse::new(settings(args), true))),
        ("keep-alive 1 min", |args| Box::new(KeepAlive::new(&settings(args), 1))),
        ("keep-alive 10 min", |args| Box::new(KeepAlive::new(&settings(args), 10))),
        ("keep-alive 60 min", |args| Box::new(KeepAlive::new(&settings(args), 60))),
    ];
    let mut outcomes: Vec<_> = policies.iter().map(|(name, _)| (*name, Outcome::new(minutes))).collect();
    let replica = Replica { cold_start: args.cold_start_ms(), target: args.target };
    for (number, function) in (0_u64..).zip(&functions) {
        let mut random = StdRng::seed_from_u64(args.seed.wrapping_add(number));
        let arrivals = function.arrivals(args.duration_ms, minutes, &mut random);
        for ((_, outcome), (_, policy)) in outcomes.iter_mut().zip(policies) {
            world::run(&arrivals, policy(args).as_mut(), replica, outcome);
        }
    }

    match (&args.trace, args.synthetic) {
        (Some(path), _) => println!("trace {}", path.display()),
        (None, seed) => {
            println!("SYNTHETIC load, seed {} (made up: no trace of a real system)", seed.unwrap_or_default())
        }
    }
    println!(
        "{} functions over {minutes} min, cold start {} s, target {} at {} %, idle window {} s",
        functions.len(),
        args.cold_start,
        args.target,
        args.utilization_percent,
        args.window
    );
    println!("{}", outcome::table(&outcomes));
    if let Some(path) = &args.svg {
        plot::draw(path, &outcomes, args.trace.is_none())?;
        println!("{}", path.display());
    }
    Ok(())
}

fn settings(args: &Args) -> Settings {
    Settings {
        target: Some(f64::from(args.target)),
        utilization_percent: f64::from(args.utilization_percent),
        stable_window: Duration::from_secs(args.window),
        max: args.max,
        ..Settings::default()
    }
}
