//! Which svc-checkout sells which event, as the broker knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use platform::kafka::{client_config, partition_of};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use schemas::topics;
use uuid::Uuid;

use crate::stack::Stack;

/// The group of svc-checkout's engines; its members bear the names of their instances.
const GROUP: &str = "svc-checkout";
/// The instance behind the gateway.
pub const FIRST: &str = "svc-checkout-1";
/// The other one.
pub const SECOND: &str = "svc-checkout-2";
/// A broker on this machine answers at once.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// The members of the group of engines, and the partitions of commands that each of them decides.
pub async fn members(stack: &Stack) -> anyhow::Result<BTreeMap<String, BTreeSet<i32>>> {
    let brokers = stack.kafka_brokers.clone();
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = client_config(&brokers, "e2e").create()?;
        let groups = client.fetch_group_list(Some(GROUP), BROKER_TIMEOUT)?;
        let mut members = BTreeMap::new();
        for member in groups.groups().iter().flat_map(|group| group.members()) {
            let assignment = member.assignment().unwrap_or_default();
            let partitions = partitions(assignment, topics::CHECKOUT_COMMANDS.name);
            let partitions = partitions.context("an assignment that cannot be read")?;
            members.insert(member.client_id().to_owned(), partitions);
        }
        Ok(members)
    })
    .await?
}

/// The instance that sells this event, if there is one now.
pub async fn seller(stack: &Stack, event: Uuid) -> anyhow::Result<Option<String>> {
    let partition = partition_of(event, stack.event_partitions);
    let members = members(stack).await?;
    let owner = members
        .into_iter()
        .find(|(_, partitions)| partitions.contains(&partition));
    Ok(owner.map(|(name, _)| name))
}

/// The partitions of `topic` in a ConsumerProtocolAssignment: version, then topics with their partitions, all numbers
/// big-endian. A member that has nothing yet has no bytes.
fn partitions(mut assignment: &[u8], topic: &str) -> Option<BTreeSet<i32>> {
    let bytes = &mut assignment;
    let mut found = BTreeSet::new();
    if bytes.is_empty() {
        return Some(found);
    }
    let _version: [u8; 2] = take(bytes)?;
    for _ in 0..i32::from_be_bytes(take(bytes)?) {
        let length = usize::try_from(i16::from_be_bytes(take(bytes)?)).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        for _ in 0..i32::from_be_bytes(take(bytes)?) {
            let partition = i32::from_be_bytes(take(bytes)?);
            if name == topic.as_bytes() {
                found.insert(partition);
            }
        }
    }
    Some(found)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read() {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        bytes.extend([0, 1, b'x', 0, 0, 0, 1, 0, 0, 0, 9]);
        bytes.extend([0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]);
        bytes.extend([0xff; 4]);
        assert_eq!(partitions(&bytes, "ab"), Some(BTreeSet::from([3, 4])));
        assert_eq!(partitions(&bytes, "x"), Some(BTreeSet::from([9])));
        assert_eq!(partitions(&bytes[..9], "x"), None);
        assert_eq!(partitions(&[], "x"), Some(BTreeSet::new()));
    }
}
