//! What svc-identity asks about a person: nobody else may.

use e2e::Stack;
use platform::ids::new_id;

#[tokio::test]
async fn nobody_but_svc_identity_may_ask_for_a_persons_orders() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, catalog) = (stack.customer().await?, stack.service_token().await?);
    let orders = format!("/internal/users/{}/orders", user.id);
    for path in [orders.clone(), format!("{orders}/{}", new_id())] {
        let by_user = stack.checkout().get(&path).by(&user).send().await?;
        by_user.expect_problem(401, "unauthenticated")?;
        let by_catalog = stack.checkout().get(&path).token(&catalog).send().await?;
        by_catalog.expect_problem(403, "forbidden")?;
        let outside = stack.gateway().get(&path).by(&user).send().await?;
        outside.expect_problem(404, "not-found")?;
    }
    Ok(())
}
