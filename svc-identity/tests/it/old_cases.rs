//! Cases that were closed long ago.

use std::sync::Arc;

use e2e::Stack;
use platform::clock::Timestamp;
use platform::ids::new_id;
use svc_identity::desk::{Desk, DeskError};
use svc_identity::domain::case::{Author, Case, Head, Message, Status, Subject, Text};
use svc_identity::store::case_places::CasePlaces;
use svc_identity::store::cases::Cases;
use uuid::Uuid;

use crate::crashes::database;

/// Of a time from which no other test has cases.
fn moment(text: &str) -> anyhow::Result<Timestamp> {
    Ok(text.parse()?)
}

/// Opened in January.
fn case(user_id: Uuid) -> anyhow::Result<Case> {
    let opened_at = moment("2026-01-15T12:00:00Z")?;
    let head = Head {
        id: new_id(),
        user_id,
        version: 1,
        subject: Subject::parse("Help")?,
        status: Status::Open,
        order_id: None,
        opened_at,
        changed_at: opened_at,
    };
    let first = Message {
        author: Author::Customer,
        at: opened_at,
        text: Text::parse("Please.")?,
    };
    Ok(Case {
        head,
        messages: vec![first],
    })
}

#[tokio::test]
async fn a_case_that_was_closed_long_ago_is_forgotten_and_no_other() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let session = Arc::new(database(&stack).await?);
    let desk = Desk {
        cases: Cases::new(Arc::clone(&session)).await?,
        places: CasePlaces::new(Arc::clone(&session)).await?,
    };
    let customer = stack.customer().await?;
    let (old, late, open) = (case(customer.id)?, case(customer.id)?, case(customer.id)?);
    for case in [&old, &late, &open] {
        desk.open(case, async { Ok::<_, DeskError>(()) }).await?;
    }
    for (case, closed) in [
        (&old, "2026-01-20T12:00:00Z"),
        (&late, "2026-02-10T12:00:00Z"),
    ] {
        let at = moment(closed)?;
        let close = |case: Case| Ok::<_, DeskError>(case.with_status(Status::Closed, at));
        desk.change(case.clone(), close).await?;
    }
    for _ in 0..2 {
        desk.forget_closed(moment("2026-02-01T00:00:00Z")?).await?;
    }

    let show = |id: Uuid| {
        let path = format!("/v1/support/cases/{id}");
        stack.identity().get(path).by(&customer).send()
    };
    let gone = show(old.head.id).await?;
    gone.expect_problem(404, "not-found")?;
    for case in [&late, &open] {
        show(case.head.id).await?.expect(200)?;
    }
    let list = stack.identity().get("/v1/support/cases").by(&customer);
    let page = list.send().await?.expect(200)?;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    let row = "SELECT JSON * FROM support_cases WHERE case_id = ?";
    let rows = session.query_unpaged(row, (old.head.id,)).await?;
    let (row,) = rows.into_rows_result()?.first_row::<(String,)>()?;
    for marker in ["Help", "Please.", &customer.id.to_string()] {
        assert!(!row.contains(marker), "{marker} in {row}");
    }
    let places = "SELECT case_id FROM cases_by_user WHERE user_id = ?";
    let places = session.query_unpaged(places, (customer.id,)).await?;
    let places = places.into_rows_result()?;
    let places: Vec<(Uuid,)> = places.rows()?.collect::<Result<_, _>>()?;
    assert!(!places.contains(&(old.head.id,)));
    // Nobody gets its id, and nobody writes in it.
    let again = desk.open(&old, async { Ok::<_, DeskError>(()) }).await;
    assert!(matches!(again, Err(DeskError::NotFound)));
    Ok(())
}
