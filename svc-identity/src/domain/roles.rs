//! Which roles a person can have.

use platform::auth::{Role, RoleSet};

use super::NotAllowed;

/// Most entries of a list of roles; each role twice would already be too much.
pub const MAX_ROLES: usize = 10;

const EMPTY: NotAllowed = NotAllowed::new("length", "1 to 10 roles");
const SERVICE: NotAllowed = NotAllowed::new(
    "unknown",
    "customer, organizer, gate, support or admin; no person is a service",
);

/// What everyone has who registers.
pub fn of_new_user() -> RoleSet {
    RoleSet::from([Role::Customer])
}

/// What the first admin has.
pub fn of_first_admin() -> RoleSet {
    RoleSet::from([Role::Customer, Role::Admin])
}

/// The roles as a person can have them.
pub fn of_person(roles: &[Role]) -> Result<RoleSet, NotAllowed> {
    if roles.is_empty() || roles.len() > MAX_ROLES {
        return Err(EMPTY);
    }
    if roles.contains(&Role::Service) {
        return Err(SERVICE);
    }
    Ok(roles.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_at_least_one_role_and_is_no_service() {
        assert_eq!(of_person(&[]), Err(EMPTY));
        assert_eq!(of_person(&[Role::Gate; MAX_ROLES + 1]), Err(EMPTY));
        assert_eq!(of_person(&[Role::Admin, Role::Service]), Err(SERVICE));
        assert_eq!(
            of_person(&[Role::Gate, Role::Gate]),
            Ok(RoleSet::from([Role::Gate]))
        );
        let all = [
            Role::Customer,
            Role::Organizer,
            Role::Gate,
            Role::Support,
            Role::Admin,
        ];
        assert_eq!(of_person(&all), Ok(RoleSet::from(all)));
    }
}
