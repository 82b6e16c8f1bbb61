use e2e::Stack;
use schemas::catalog::{EventInventory, EventSnapshot};
use std::collections::HashMap;
#[tokio::test]
#[ignore]
async fn compare() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let admin = stack.admin_token().await?;
    let mut snap = HashMap::new();
    let mut inv = HashMap::new();
    for r in stack.all_records("catalog.events").await? {
        snap.insert(
            r.key.clone(),
            r.read::<EventSnapshot>().map(|s| s.version).unwrap_or(0),
        );
    }
    for r in stack.all_records("catalog.inventory").await? {
        inv.insert(
            r.key.clone(),
            r.read::<EventInventory>().map(|s| s.version).unwrap_or(0),
        );
    }
    let ids = std::fs::read_to_string("/tmp/ids.txt")?;
    let (mut n, mut bad) = (0, 0);
    for id in ids.lines() {
        n += 1;
        let e = stack
            .catalog()
            .get(format!("/v1/events/{id}"))
            .token(&admin)
            .send()
            .await?
            .expect(200)?;
        let v = e["version"].as_i64().unwrap();
        let has = !e["ticket_types"].as_array().unwrap().is_empty();
        if snap.get(id) != Some(&v) || (has && inv.get(id) != Some(&v)) {
            bad += 1;
            println!("{id} row {v} snap {:?} inv {:?}", snap.get(id), inv.get(id));
        }
    }
    // Rows nobody knows of: keys on the topic without acknowledgement are fine.
    println!(
        "checked {n} events, {bad} differ; topic keys {}",
        snap.len()
    );
    assert_eq!(bad, 0);
    Ok(())
}
