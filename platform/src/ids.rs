//! Ids. A thing that a person creates gets [`new_id`]; a thing that follows from another gets [`derived_id`], so that
//! doing the same twice, in a retry or in a replay, makes the same id and not a second thing.

use uuid::Uuid;

/// A new random id, version 7: the first 48 bits are the time, so that rows made together lie together.
///
/// The only source of random ids. It is no secret: do not use it as a token.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where random ids are made"
)]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The id that follows from `namespace` and `parts`, version 5: equal input gives an equal id, for ever.
///
/// Each part is preceded by its length, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub fn derived_id(namespace: Uuid, parts: &[&str]) -> Uuid {
    const LENGTH_BYTES: usize = size_of::<u64>();
    let size = parts.iter().map(|part| LENGTH_BYTES + part.len()).sum();
    let mut name = Vec::with_capacity(size);
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&namespace, &name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn new_ids_differ_and_ascend() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn a_derived_id_never_changes() {
        // Written down: another value here would make second things out of every replay.
        assert_eq!(
            derived_id(Uuid::NAMESPACE_OID, &["order", "1"]).to_string(),
            "1be23b13-fbb2-517b-a8e1-4a8f07035de2"
        );
    }

    proptest! {
        #[test]
        fn other_parts_make_another_id(
            a in proptest::collection::vec("[ab/]{0,3}", 0..4),
            b in proptest::collection::vec("[ab/]{0,3}", 0..4),
        ) {
            let id = |parts: &[String]| {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                derived_id(Uuid::NAMESPACE_OID, &parts)
            };
            prop_assert_eq!(id(&a) == id(&b), a == b);
        }
    }
}
