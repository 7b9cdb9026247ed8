//! JSON patches (RFC 6902), as far as they are sent.

use serde_json::Value;

use super::store::Refusal;

/// Carries out the operations of a JSON patch; a test that fails refuses all of them.
pub(super) fn operations(object: &mut Value, patch: &Value) -> Result<(), Refusal> {
    for operation in patch.as_array().ok_or_else(|| Refusal::invalid("not a list of operations"))? {
        let pointer = operation["path"].as_str().unwrap_or_default();
        let value = &operation["value"];
        if operation["op"] == "test" {
            if object.pointer(pointer).unwrap_or(&Value::Null) != value {
                return Err(Refusal::invalid(&format!("the test of {pointer} failed")));
            }
            continue;
        }
        let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
        let field = field.replace("~1", "/").replace("~0", "~");
        let parent = object.pointer_mut(parent).and_then(Value::as_object_mut);
        let parent = parent.ok_or_else(|| Refusal::invalid(&format!("{pointer} has no parent")))?;
        match operation["op"].as_str() {
            Some("replace") if !parent.contains_key(&field) => {
                return Err(Refusal::invalid(&format!("{pointer} is not there")));
            }
            Some("add" | "replace") => _ = parent.insert(field, value.clone()),
            _ => return Err(Refusal::invalid("an operation that this server does not know")),
        }
    }
    Ok(())
}
