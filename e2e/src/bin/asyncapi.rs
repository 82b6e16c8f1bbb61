//! Prints the AsyncAPI document of all topics: `cargo run -p e2e --bin asyncapi > docs/asyncapi.json`.

fn main() -> anyhow::Result<()> {
    println!(
        "{}",
        serde_json::to_string_pretty(&e2e::asyncapi::document()?)?
    );
    Ok(())
}
