//! Who calls.

use e2e::{Role, Stack, User};

/// The columns of the page: who calls, and the role beside that of a customer, which everyone has.
pub(crate) const CALLERS: [(&str, &[Role]); 8] = [
    ("nobody", &[]),
    ("customer", &[]),
    ("other customer", &[]),
    ("organizer", &[Role::Organizer]),
    ("other organizer", &[Role::Organizer]),
    ("gate", &[Role::Gate]),
    ("support", &[Role::Support]),
    ("admin", &[Role::Admin]),
];
/// Nobody is signed in, and has no token.
pub(crate) const NOBODY: usize = 0;
/// Whose orders and mails the rows are about.
pub(crate) const CUSTOMER: usize = 1;
/// Whose events the rows are about.
pub(crate) const ORGANIZER: usize = 3;

/// Somebody else with the roles of a column.
pub(crate) async fn another(stack: &Stack, column: usize) -> anyhow::Result<Option<User>> {
    let (_, roles) = CALLERS[column];
    match column {
        NOBODY => Ok(None),
        _ => stack.user(roles).await.map(Some),
    }
}
