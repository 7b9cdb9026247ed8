//! The installation that these tests disturb, and how they leave it.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use e2e::scene::{Scene, scene};

pub(crate) use e2e::rouse::Rouse;

/// Longest test. What stands after it is put in order all the same.
const WHOLE: Duration = Duration::from_secs(500);

/// There is one installation: its tests go one by one, whatever the harness thinks.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test that changes the installation, alone, and puts the installation back as it was.
pub(crate) fn disturb<F: Future<Output = Result<()>>>(name: &str, test: impl FnOnce(Scene, Rouse) -> F) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    scene(name, |scene| async move {
        let rouse = Rouse::found(scene.client.clone()).await?;
        let done = tokio::time::timeout(WHOLE, test(scene, rouse.clone())).await;
        rouse.restore().await.context("the installation could not be put back as it was")?;
        done.unwrap_or_else(|_| Err(anyhow!("not done within {WHOLE:?}")))
    });
}
