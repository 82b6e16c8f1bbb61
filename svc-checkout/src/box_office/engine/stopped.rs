//! Partitions that this member owns and decides nothing in.

use std::collections::BTreeSet;

use crate::box_office::takeover::Damage;

/// Those of one incarnation. Each is in the gauge `checkout_partition_stopped` for as long as it is in here: another owner
/// may have mended it, and who looks at the gauge wants to know where nobody sells.
#[derive(Debug, Default)]
pub(super) struct Stopped(BTreeSet<i32>);

impl Stopped {
    pub(super) fn add(&mut self, id: i32, damage: &Damage) {
        self.0.insert(id);
        gauge(id).set(1.0);
        tracing::error!(
            partition = id,
            error = damage as &dyn std::error::Error,
            "partition stopped: nothing of its events is sold until somebody has mended it"
        );
    }

    /// Whether it was in here.
    pub(super) fn remove(&mut self, id: i32) -> bool {
        gauge(id).set(0.0);
        self.0.remove(&id)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for &id in &self.0 {
            gauge(id).set(0.0);
        }
    }
}

fn gauge(id: i32) -> metrics::Gauge {
    metrics::gauge!("checkout_partition_stopped", "partition" => id.to_string())
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn the_gauge_falls_with_each_partition_that_goes_and_with_the_incarnation() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let shown = |id: i32| {
            let line = format!("checkout_partition_stopped{{partition=\"{id}\"}} ");
            let text = handle.render();
            let value = text.lines().find_map(|it| it.strip_prefix(&line));
            value.map(str::to_owned)
        };
        let damage = Damage::CommandsLost {
            position: 1,
            first: 2,
        };
        metrics::with_local_recorder(&recorder, || {
            let mut stopped = Stopped::default();
            assert!(!stopped.remove(0), "taken over whole");
            for id in [1, 2] {
                stopped.add(id, &damage);
            }
            assert_eq!(
                [0, 1, 2].map(shown),
                ["0", "1", "1"].map(|it| Some(it.into()))
            );
            assert!(stopped.remove(1));
            assert_eq!(
                [0, 1, 2].map(shown),
                ["0", "0", "1"].map(|it| Some(it.into()))
            );
        });
        assert_eq!(
            [0, 1, 2].map(shown),
            ["0", "0", "0"].map(|it| Some(it.into()))
        );
    }
}
