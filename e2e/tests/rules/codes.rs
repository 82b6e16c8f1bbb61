//! Every problem code that a service can answer is one that a test has seen: it has `expect_problem` with its status and it.

use std::path::{Path, PathBuf};

use crate::files::{crates, files, none, read, root};

/// What no call answers yet: nobody is admitted so far. Whoever makes the first that does takes it from here.
const NOT_YET: [&str; 3] = ["already-admitted", "ticket-forged", "wrong-event"];
/// Answered by the type itself for what is a bug: no test can ask for one.
const BUG: &str = "internal";

/// A code.
struct Code {
    variant: String,
    text: String,
    status: u16,
}

/// `SoldOut "sold-out" 409 "…";`
fn codes() -> Vec<Code> {
    let source = read(&root().join("platform/src/http/problem.rs"));
    let codes: Vec<Code> = source
        .lines()
        .filter_map(|line| {
            let (variant, rest) = line.trim().split_once(" \"")?;
            let (text, rest) = rest.split_once("\" ")?;
            let status = rest.split(' ').next()?;
            Some(Code {
                variant: variant.to_owned(),
                text: text.to_owned(),
                status: status.parse().ok()?,
            })
        })
        .collect();
    assert!(codes.len() > 30, "only {} codes were found", codes.len());
    codes
}

/// A test without its comments and white space: however it was wrapped, a call reads the same.
fn calls(file: &Path) -> String {
    let source = read(file);
    let code = source.lines().map(str::trim);
    let code = code.filter(|line| !line.starts_with("//"));
    code.flat_map(str::split_whitespace).collect()
}

fn is_test(file: &Path) -> bool {
    let shown = file.to_string_lossy();
    shown.contains("/tests/") || shown.ends_with("/tests.rs")
}

#[test]
fn every_code_that_is_answered_is_tested() {
    let sources: Vec<PathBuf> = crates()
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .collect();
    let (tests, code): (Vec<&PathBuf>, Vec<&PathBuf>) = sources.iter().partition(|f| is_test(f));
    // Where the codes are declared, none of them is answered.
    let code = code
        .into_iter()
        .filter(|file| !file.ends_with("problem.rs"));
    let code: Vec<String> = code.map(|file| read(file)).collect();
    let tests = tests.into_iter().filter(|file| !file.ends_with("codes.rs"));
    let tests: Vec<String> = tests.map(|file| calls(file)).collect();
    let mut wrong = Vec::new();
    for Code {
        variant,
        text,
        status,
    } in codes()
    {
        let answered = format!("Code::{variant}");
        let seen = format!("expect_problem({status},\"{text}\"");
        let is_answered = code.iter().any(|source| source.contains(&answered));
        if is_answered == NOT_YET.contains(&&*text) && text != BUG {
            wrong.push(format!(
                "{text}: answered or not, and NOT_YET says otherwise"
            ));
        }
        if is_answered && text != BUG && !tests.iter().any(|source| source.contains(&seen)) {
            wrong.push(format!("{text}: answered, and no test asks for it"));
        }
    }
    none(
        &wrong,
        "codes without a test, or without a call that answers them",
    );
}
