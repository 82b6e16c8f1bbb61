//! What hashes of other times cost. The setting is raised as machines get faster; what was stored before is cheaper until
//! its owner signs in.

use argon2::password_hash::{self, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};

/// KiB times passes, to which the time is in proportion (RFC 9106, section 3.4).
fn work(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
}

/// Counts a password that was hashed at this cost.
pub(super) fn count(params: &Params) {
    metrics::counter!("passwords_work_kib_total").increment(work(params));
}

/// What `hash` costs less than `today`, as something that costs just that and no more memory; `None` when it does not.
pub(super) fn missing(
    hash: &PasswordHash,
    today: &Params,
) -> Result<Option<Params>, password_hash::Error> {
    let missing = work(today).saturating_sub(work(&Params::try_from(hash)?));
    if missing == 0 {
        return Ok(None);
    }
    let memory = missing / u64::from(today.t_cost());
    let memory = u32::try_from(memory).unwrap_or(u32::MAX);
    let lanes = today.p_cost();
    let memory = memory.max(Params::MIN_M_COST).max(8 * lanes);
    Ok(Some(Params::new(memory, today.t_cost(), lanes, None)?))
}

/// Costs what `missing` says, for nothing but the time.
pub(super) fn pay(missing: Params, password: &[u8]) -> Result<(), password_hash::Error> {
    const SALT: [u8; 16] = [0; 16];
    count(&missing);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, missing);
    argon2.hash_password_into(password, &SALT, &mut [0; 32])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordHasher as _;

    #[test]
    fn both_together_cost_as_much_as_one_of_today() {
        let today = Params::new(19_456, 4, 1, None).unwrap();
        for (memory_kib, iterations) in [(19_456, 1), (19_456, 3), (9_728, 2), (7_168, 1)] {
            let old = Params::new(memory_kib, iterations, 1, None).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, old);
            let hash: PasswordHash = argon2.hash_password(b"password").unwrap();
            let missing = missing(&hash, &today).unwrap().unwrap();
            let paid = memory_kib * iterations + missing.m_cost() * missing.t_cost();
            assert_eq!(paid, 19_456 * 4);
            assert!(missing.m_cost() <= today.m_cost());
        }
    }
}
