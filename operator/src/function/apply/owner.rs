//! Whose an object is.

use crds::Function;
use kube::Resource;

use crate::function::validate::Valid;

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This Function's.
    Ours,
    /// A Function's of this name that is gone: the garbage collector will take it.
    Earlier,
    /// Nobody's, or somebody else's.
    Foreign,
}

/// Reads the controller's owner reference.
pub(super) fn of<K: Resource>(object: &K, valid: &Valid) -> Owner {
    let owners = object.meta().owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else { return Owner::Foreign };
    if owner.uid == valid.uid {
        return Owner::Ours;
    }
    let group = owner.api_version.split('/').next().unwrap_or_default();
    if group == Function::group(&()) && owner.kind == Function::kind(&()) && owner.name == valid.name {
        Owner::Earlier
    } else {
        Owner::Foreign
    }
}
