//! Rows on their way to the database: what lies together travels together.
//!
//! A request costs both sides far more than a row does. Rows of one partition are one request and, in the database, one
//! write; partitions that lie on the same nodes share a request, since whoever takes it has each of them.

use std::collections::HashMap;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use platform::cql::CqlError;
use scylla::client::session::Session;
use scylla::cluster::ClusterState;
use scylla::routing::Token;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

/// Requests of one call that are on their way at once.
const REQUESTS_AT_ONCE: usize = 64;
/// Of the rows of one partition in one request. The databases refuse batches of more than 50 KiB; sizes are guessed
/// generously.
const PARTITION_BYTES: usize = 16 << 10;
/// Of the rows in a request for several partitions: of more Cassandra warns (`batch_size_warn_threshold`).
const SHARED_BYTES: usize = 5 << 10;
/// In one request: of more Cassandra warns (`unlogged_batch_across_partitions_warn_threshold`).
const PARTITIONS: usize = 10;

/// The requests that write these rows of one statement, each row given with about its size in bytes.
pub(super) fn requests<R: SerializeRow>(
    session: &Session,
    statement: &PreparedStatement,
    rows: impl IntoIterator<Item = (usize, R)>,
) -> Result<Vec<Vec<R>>, CqlError> {
    let cluster = session.get_cluster_state();
    let mut partitions: HashMap<i64, Partition<R>> = HashMap::new();
    for (bytes, row) in rows {
        let token = statement
            .calculate_token(&row)
            .map_err(CqlError::answer)?
            .ok_or_else(|| CqlError::Answer("a statement without a partition key".into()))?;
        let partition = partitions
            .entry(token.value())
            .or_insert_with(|| Partition {
                nodes: nodes_of(&cluster, statement, token),
                rows: Vec::new(),
            });
        partition.rows.push((bytes, row));
    }
    Ok(together(partitions.into_values()))
}

/// Sends requests, some at once.
pub(super) async fn send_all<R: SerializeRow + Send + Sync>(
    session: &Session,
    statement: &PreparedStatement,
    requests: Vec<Vec<R>>,
) -> Result<(), CqlError> {
    let requests = requests
        .into_iter()
        .map(|rows| send(session, statement, rows).boxed());
    stream::iter(requests.collect::<Vec<_>>())
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await
}

async fn send<R: SerializeRow>(
    session: &Session,
    statement: &PreparedStatement,
    rows: Vec<R>,
) -> Result<(), CqlError> {
    // Alone it may be larger than a batch may.
    if let [row] = rows.as_slice() {
        session.execute_unpaged(statement, row).await?;
        return Ok(());
    }
    let mut batch = Batch::new(BatchType::Unlogged);
    for _ in &rows {
        batch.append_statement(statement.clone());
    }
    session.batch(&batch, rows).await?;
    Ok(())
}

/// The nodes that have a partition, in an order of their own. None when the driver does not know them.
fn nodes_of(cluster: &ClusterState, statement: &PreparedStatement, token: Token) -> Vec<Uuid> {
    let Some(table) = statement.get_table_spec() else {
        return Vec::new();
    };
    let mut nodes: Vec<Uuid> = cluster
        .get_token_endpoints(table.ks_name(), table.table_name(), token)
        .into_iter()
        .map(|(node, _)| node.host_id)
        .collect();
    nodes.sort_unstable();
    nodes
}

/// Rows of one partition with their sizes, and where it lies.
struct Partition<R> {
    nodes: Vec<Uuid>,
    rows: Vec<(usize, R)>,
}

/// A request that is being put together.
struct Open<R> {
    bytes: usize,
    partitions: usize,
    rows: Vec<R>,
}

fn together<R>(partitions: impl IntoIterator<Item = Partition<R>>) -> Vec<Vec<R>> {
    let mut full = Vec::new();
    let mut open: HashMap<Vec<Uuid>, Open<R>> = HashMap::new();
    for partition in partitions {
        for (bytes, rows) in pieces(partition.rows) {
            let request = open.entry(partition.nodes.clone()).or_insert(Open {
                bytes: 0,
                partitions: 0,
                rows: Vec::new(),
            });
            if request.bytes + bytes > SHARED_BYTES || request.partitions == PARTITIONS {
                full.push(std::mem::take(&mut request.rows));
                (request.bytes, request.partitions) = (0, 0);
            }
            request.bytes += bytes;
            request.partitions += 1;
            request.rows.extend(rows);
        }
    }
    full.extend(open.into_values().map(|request| request.rows));
    full.retain(|rows| !rows.is_empty());
    full
}

/// The rows of a partition in pieces that one request may have.
fn pieces<R>(rows: Vec<(usize, R)>) -> Vec<(usize, Vec<R>)> {
    let mut pieces: Vec<(usize, Vec<R>)> = Vec::new();
    for (bytes, row) in rows {
        match pieces.last_mut() {
            Some((size, piece)) if *size + bytes <= PARTITION_BYTES => {
                *size += bytes;
                piece.push(row);
            }
            _ => pieces.push((bytes, vec![row])),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Uuid = Uuid::from_u128(1);
    const THERE: Uuid = Uuid::from_u128(2);

    fn partition(node: Uuid, sizes: &[usize]) -> Partition<(Uuid, usize)> {
        Partition {
            nodes: vec![node],
            rows: sizes.iter().map(|bytes| (*bytes, (node, *bytes))).collect(),
        }
    }

    fn sizes(partitions: Vec<Partition<(Uuid, usize)>>) -> Vec<Vec<usize>> {
        let mut requests: Vec<Vec<usize>> = together(partitions)
            .into_iter()
            .map(|rows| {
                assert!(rows.iter().all(|(node, _)| *node == rows[0].0), "one home");
                rows.into_iter().map(|(_, bytes)| bytes).collect()
            })
            .collect();
        requests.sort();
        requests
    }

    #[test]
    fn a_partition_is_one_request_up_to_the_size_of_a_batch() {
        let half = PARTITION_BYTES / 2;
        assert_eq!(
            sizes(vec![partition(HERE, &[half, half, half])]),
            [vec![half], vec![half, half]]
        );
        let huge = 10 * PARTITION_BYTES;
        assert_eq!(
            sizes(vec![partition(HERE, &[1, huge, 2])]),
            [vec![1], vec![2], vec![huge]]
        );
        assert!(sizes(Vec::new()).is_empty());
    }

    #[test]
    fn partitions_share_a_request_only_on_the_same_nodes() {
        let spread = vec![
            partition(HERE, &[1, 2]),
            partition(THERE, &[3]),
            partition(HERE, &[4]),
            partition(THERE, &[5]),
        ];
        assert_eq!(sizes(spread), [vec![1, 2, 4], vec![3, 5]]);
    }

    #[test]
    fn a_shared_request_stays_below_what_cassandra_warns_of() {
        let many = (0..25).map(|_| partition(HERE, &[1])).collect();
        assert_eq!(
            sizes(many).iter().map(Vec::len).collect::<Vec<_>>(),
            [5, 10, 10]
        );
        let large = SHARED_BYTES - 10;
        let some = vec![
            partition(HERE, &[large]),
            partition(HERE, &[10]),
            partition(HERE, &[20]),
        ];
        assert_eq!(sizes(some), [vec![20], vec![large, 10]]);
    }
}
