//! What the reconcilers see of scaling.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::time::Instant;

use crate::{
    link::Board,
    stores::{Key, Queue, Stores},
};

/// What the activators know of pods, for as long as this process leads. Cheap to clone: clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Handle {
    board: Arc<Mutex<Option<Arc<Board>>>>,
    changed: Arc<Queue<Key>>,
    /// What changes in the stores. One subscription for all terms: the stores keep a subscriber for ever.
    stores: Arc<OnceLock<Arc<Queue<Key>>>>,
}

impl Handle {
    /// How many of these pods (UIDs) of a revision every activator has probed ready. `None`: not known now, because this
    /// process does not lead, an activator is not heard, or there is none.
    pub fn ready_pods(&self, revision: &str, pods: &[String]) -> Option<usize> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let roster = board.roster();
        roster.ready_pods(revision, pods, Instant::now().into_std())
    }

    /// Functions of which a pod became ready at an activator, or is so no longer. For one reader.
    pub fn changed(&self) -> Arc<Queue<Key>> {
        Arc::clone(&self.changed)
    }

    /// Functions that change in the stores.
    pub(super) fn changes(&self, stores: &Stores) -> Arc<Queue<Key>> {
        Arc::clone(self.stores.get_or_init(|| stores.subscribe()))
    }

    /// Shows this board until the guard is dropped.
    pub(super) fn show(&self, board: &Arc<Board>) -> Shown {
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(board));
        Shown { board: Arc::clone(&self.board) }
    }
}

/// Takes the board away again.
pub(super) struct Shown {
    board: Arc<Mutex<Option<Arc<Board>>>>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
