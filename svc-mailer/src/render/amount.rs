//! Money as it is written in a language.

use platform::http::Language;
use platform::money::Money;

/// `25.00 EUR` in English, `25,00 EUR` in French and Spanish.
pub(super) fn format(money: Money, language: Language) -> String {
    let text = money.to_string();
    match language {
        Language::En => text,
        Language::Fr | Language::Es => text.replace('.', ","),
    }
}
