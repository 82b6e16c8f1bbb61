//! Between vouchers and the records that name them, both ways.

use platform::clock::Timestamp;
use schemas::catalog::VoucherTerms;
use schemas::checkout as record;
use uuid::Uuid;

use super::records::{RecordError, bad, money_in, money_out};
use crate::domain::voucher::{
    Reduction, UsedVoucher, VoucherCode, VoucherKey, VoucherOffer, WantedVoucher,
};

fn code_in(code: &str) -> Result<VoucherCode, RecordError> {
    VoucherCode::parse(code).ok_or_else(|| bad("code", format!("{code:?} is none")))
}

fn reduction_in(
    percent_off: Option<i64>,
    amount_off: Option<&schemas::Money>,
) -> Result<Reduction, RecordError> {
    match (percent_off, amount_off) {
        (Some(percent @ 1..=100), None) => Ok(Reduction::Percent(percent)),
        (None, Some(amount)) => Ok(Reduction::Amount(money_in(amount)?)),
        (Some(other), None) => Err(bad("percent_off", other.to_string())),
        (Some(_), Some(_)) | (None, None) => {
            Err(bad("percent_off", "this or amount_off, exactly one"))
        }
    }
}

fn reduction_out(reduction: Reduction) -> (Option<i64>, Option<schemas::Money>) {
    match reduction {
        Reduction::Percent(percent) => (Some(percent), None),
        Reduction::Amount(amount) => (None, Some(money_out(amount))),
    }
}

/// Reads what the catalog says of a voucher.
pub fn terms_in(terms: &VoucherTerms) -> Result<(VoucherKey, VoucherOffer), RecordError> {
    let key = (terms.event_id, code_in(&terms.code)?);
    let offer = VoucherOffer {
        version: terms.version,
        reduction: reduction_in(terms.percent_off, terms.amount_off.as_ref())?,
        max_uses: terms.max_uses,
        valid_until: terms.valid_until.map(Timestamp::from_micros),
    };
    Ok((key, offer))
}

pub(super) fn wanted_out(wanted: &WantedVoucher) -> record::WantedVoucher {
    record::WantedVoucher {
        code: wanted.code.as_str().to_owned(),
        offer: wanted.offer.map(|offer| {
            let (percent_off, amount_off) = reduction_out(offer.reduction);
            record::VoucherOffer {
                version: offer.version,
                percent_off,
                amount_off,
                max_uses: offer.max_uses,
                valid_until: offer.valid_until.map(Timestamp::as_micros),
            }
        }),
    }
}

pub(super) fn wanted_in(wanted: &record::WantedVoucher) -> Result<WantedVoucher, RecordError> {
    let offer = wanted.offer.as_ref().map(|offer| {
        Ok(VoucherOffer {
            version: offer.version,
            reduction: reduction_in(offer.percent_off, offer.amount_off.as_ref())?,
            max_uses: offer.max_uses,
            valid_until: offer.valid_until.map(Timestamp::from_micros),
        })
    });
    Ok(WantedVoucher {
        code: code_in(&wanted.code)?,
        offer: offer.transpose()?,
    })
}

pub(super) fn used_out(used: Option<&UsedVoucher>) -> Option<record::UsedVoucher> {
    used.map(|used| record::UsedVoucher {
        code: used.code.as_str().to_owned(),
        version: used.version,
        max_uses: used.max_uses,
        discount: money_out(used.discount),
    })
}

pub(super) fn used_in(
    used: Option<&record::UsedVoucher>,
) -> Result<Option<UsedVoucher>, RecordError> {
    let used = used.map(|used| {
        Ok(UsedVoucher {
            code: code_in(&used.code)?,
            version: used.version,
            max_uses: used.max_uses,
            discount: money_in(&used.discount)?,
        })
    });
    used.transpose()
}

pub(super) fn uses_out((event_id, code): &VoucherKey, uses: i64) -> record::VoucherUses {
    record::VoucherUses {
        event_id: *event_id,
        code: code.as_str().to_owned(),
        uses,
    }
}

pub(super) fn uses_in(uses: &record::VoucherUses) -> Result<(VoucherKey, i64), RecordError> {
    Ok(((uses.event_id, code_in(&uses.code)?), uses.uses))
}

/// Key in checkout.state.
pub(super) fn state_key((event_id, code): &VoucherKey) -> String {
    format!("voucher/{event_id}/{}", code.as_str())
}

/// The part of [`state_key`] behind the first slash.
pub(super) fn parse_state_key(rest: &str) -> Option<VoucherKey> {
    let (event_id, code) = rest.split_once('/')?;
    Some((Uuid::parse_str(event_id).ok()?, VoucherCode::parse(code)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::money::{Currency, Money};

    fn terms() -> VoucherTerms {
        VoucherTerms {
            event_id: Uuid::from_u128(1),
            code: "EARLY".to_owned(),
            version: 3,
            percent_off: Some(10),
            amount_off: None,
            max_uses: 5,
            valid_until: Some(7),
        }
    }

    #[test]
    fn a_wish_survives_the_way_over_its_record() {
        let (_, percent) = terms_in(&terms()).expect("sound terms");
        let amount = VoucherOffer {
            reduction: Reduction::Amount(Money::new(500, Currency::EUR)),
            valid_until: None,
            ..percent
        };
        let code = VoucherCode::parse("early").expect("a code");
        for offer in [None, Some(percent), Some(amount)] {
            let wanted = WantedVoucher {
                code: code.clone(),
                offer,
            };
            assert_eq!(wanted_in(&wanted_out(&wanted)), Ok(wanted));
        }
    }

    #[test]
    fn a_key_of_the_state_names_its_voucher() {
        let (key, _) = terms_in(&terms()).expect("sound terms");
        let text = state_key(&key);
        let rest = text.strip_prefix("voucher/").expect("the prefix");
        assert_eq!(parse_state_key(rest), Some(key));
        for wrong in ["", "EARLY", "1/EARLY"] {
            assert_eq!(parse_state_key(wrong), None);
        }
    }

    #[test]
    fn terms_that_take_off_nothing_sensible_are_refused() {
        let money = |amount| schemas::Money {
            amount,
            currency: "EUR".to_owned(),
        };
        for (percent_off, amount_off) in [
            (None, None),
            (Some(0), None),
            (Some(101), None),
            (Some(10), Some(money(100))),
        ] {
            let wrong = VoucherTerms {
                percent_off,
                amount_off,
                ..terms()
            };
            assert!(terms_in(&wrong).is_err(), "{wrong:?}");
        }
    }
}
