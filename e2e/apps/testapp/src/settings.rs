//! Behaviour by environment variables.

use std::env;
use std::time::Duration;

/// What the application does, beyond answering.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `PORT` (8080): where it listens, on all addresses.
    pub(crate) port: u16,
    /// `START_DELAY_MS` (0): how long it waits before it listens.
    pub(crate) start_delay: Duration,
    /// `CRASH`: `start` exits with 1 before listening, `after-500` 500 ms after it began to listen.
    pub(crate) crash: Option<Crash>,
    /// `IDLE_CLOSE_MS`: closes a kept-alive connection that was idle this long, as Node, gunicorn and
    /// uvicorn do. Never if unset.
    pub(crate) idle_close: Option<Duration>,
    /// `EXIT_ON_SIGTERM=1`: exits at once on SIGTERM. Otherwise it stops accepting, finishes what it has
    /// begun, and then exits.
    pub(crate) exit_on_sigterm: bool,
}

/// When to exit with code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    AtStart,
    After(Duration),
}

impl Settings {
    /// Reads the environment; the error says which variable is wrong.
    pub(crate) fn from_environment() -> Result<Self, String> {
        Self::read(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| get(name).map(|value| value.parse().map_err(|_| wrong(name, &value))).transpose();
        let port = get("PORT").map_or(Ok(8080), |value| value.parse().map_err(|_| wrong("PORT", &value)))?;
        Ok(Self {
            port,
            start_delay: number("START_DELAY_MS")?.map(Duration::from_millis).unwrap_or_default(),
            crash: get("CRASH").map(|value| crash(&value)).transpose()?,
            idle_close: number("IDLE_CLOSE_MS")?.map(Duration::from_millis),
            exit_on_sigterm: get("EXIT_ON_SIGTERM").is_some_and(|value| value == "1"),
        })
    }
}

fn crash(value: &str) -> Result<Crash, String> {
    match value.strip_prefix("after-").map(str::parse) {
        None if value == "start" => Ok(Crash::AtStart),
        Some(Ok(millis)) => Ok(Crash::After(Duration::from_millis(millis))),
        _ => Err(wrong("CRASH", value)),
    }
}

fn wrong(name: &str, value: &str) -> String {
    format!("{name}={value} is not understood")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn unset_means_ordinary() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.port, settings.crash, settings.idle_close), (8080, None, None));
        assert!(!settings.exit_on_sigterm);
    }

    #[test]
    fn each_variable_counts() {
        let settings = read(&[("PORT", "9"), ("CRASH", "after-500"), ("IDLE_CLOSE_MS", "20")]).unwrap();
        assert_eq!(settings.port, 9);
        assert_eq!(settings.crash, Some(Crash::After(Duration::from_millis(500))));
        assert_eq!(settings.idle_close, Some(Duration::from_millis(20)));
        assert_eq!(read(&[("CRASH", "start")]).unwrap().crash, Some(Crash::AtStart));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(read(&[("CRASH", "later")]).unwrap_err(), "CRASH=later is not understood");
        assert!(read(&[("PORT", "http")]).is_err());
    }
}
