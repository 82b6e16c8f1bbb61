//! What no statement of ours may ask of the database.

use crate::files::{crates, files, none, read, shown};

/// What both databases would do and pay for with a look at every row, or what one of them does not speak.
const NEVER: [&str; 4] = [
    "ALLOW FILTERING",
    "CREATE MATERIALIZED VIEW",
    "CREATE INDEX",
    "CREATE CUSTOM INDEX",
];

#[test]
fn no_statement_asks_for_what_does_not_grow() {
    let mut broken = Vec::new();
    for folder in crates() {
        let texts = ["rs", "cql"].map(|kind| files(&folder, kind)).concat();
        for file in texts.iter().filter(|file| !file.ends_with("queries.rs")) {
            // However it is written over lines.
            let text = read(file).to_uppercase();
            let text: Vec<&str> = text.split_whitespace().collect();
            let text = text.join(" ");
            let found = NEVER.iter().filter(|never| text.contains(**never));
            broken.extend(found.map(|never| format!("{}: {never}", shown(file))));
        }
    }
    none(&broken, "statements");
}
