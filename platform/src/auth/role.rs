//! What a caller may do.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One thing that a caller can be.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys tickets.
    Customer,
    /// Makes events.
    Organizer,
    /// Lets people in.
    Gate,
    /// Helps customers.
    Support,
    /// Manages users.
    Admin,
    /// Another of our services; no person has it.
    Service,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Customer,
        Self::Organizer,
        Self::Gate,
        Self::Support,
        Self::Admin,
        Self::Service,
    ];

    /// The role as it stands in tokens: `customer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Organizer => "organizer",
            Self::Gate => "gate",
            Self::Support => "support",
            Self::Admin => "admin",
            Self::Service => "service",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The text is not a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of customer, organizer, gate, support, admin, service")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of roles.
///
/// Reading one skips roles that this version does not know: a token with a role that was added later still has its
/// others. For what people send, read a `Vec<Role>`, which does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RoleSet(u8);

impl RoleSet {
    /// Whether `role` is in it.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether one of `roles` is in it.
    pub fn contains_any(self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.contains(*role))
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles, always in the same order.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL
            .into_iter()
            .filter(move |role| self.contains(*role))
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | role.bit()))
    }
}

impl<const N: usize> From<[Role; N]> for RoleSet {
    fn from(roles: [Role; N]) -> Self {
        roles.into_iter().collect()
    }
}

impl fmt::Debug for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for RoleSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for RoleSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = RoleSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of roles")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<RoleSet, A::Error> {
                let mut bits = 0;
                while let Some(name) = names.next_element::<Name>()? {
                    bits |= name.0.map_or(0, Role::bit);
                }
                Ok(RoleSet(bits))
            }
        }

        struct Name(Option<Role>);

        impl<'de> Deserialize<'de> for Name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = Name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("the name of a role")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                        Ok(Name(text.parse().ok()))
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        deserializer.deserialize_seq(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_list_of_names() {
        let set = RoleSet::from([Role::Admin, Role::Customer, Role::Admin]);
        assert_eq!(
            serde_json::to_string(&set).unwrap(),
            r#"["customer","admin"]"#
        );
        assert!(set.contains(Role::Admin) && !set.contains(Role::Gate));
        assert!(set.contains_any(&[Role::Gate, Role::Customer]));
        assert!(!set.contains_any(&[Role::Gate]) && !set.contains_any(&[]));
        assert!(RoleSet::default().is_empty());
    }

    #[test]
    fn unknown_roles_are_skipped_in_a_set_only() {
        let read = |json| serde_json::from_str::<RoleSet>(json).ok();
        assert_eq!(
            read(r#"["gate","usher"]"#),
            Some(RoleSet::from([Role::Gate]))
        );
        assert_eq!(read(r#"["Admin"]"#), Some(RoleSet::default()));
        assert_eq!(read(r#""admin""#), None);
        assert_eq!(read("[1]"), None);
        assert!(serde_json::from_str::<Vec<Role>>(r#"["gate","usher"]"#).is_err());
    }

    #[test]
    fn names_are_the_same_everywhere() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(RoleSet::from([role]).iter().collect::<Vec<_>>(), [role]);
        }
    }
}
