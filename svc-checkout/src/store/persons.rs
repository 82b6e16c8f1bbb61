//! Who somebody is, in the columns `name`, `email` and `phone` of a row.

use platform::person::NotAllowed;
use platform::person::email::Email;
use platform::person::name::Name;
use platform::person::phone::Phone;

use crate::domain::guest::Person;

/// The columns of a person.
pub(super) type Columns<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// What a person is written as.
pub(super) fn columns(person: Option<&Person>) -> Columns<'_> {
    (
        person.map(|person| person.name.as_str()),
        person.map(|person| person.email.as_str()),
        person.and_then(|person| person.phone.as_ref().map(Phone::as_str)),
    )
}

/// The inverse of [`columns`].
pub(super) fn read((name, email, phone): Columns<'_>) -> Result<Option<Person>, NotAllowed> {
    let (Some(name), Some(email)) = (name, email) else {
        return Ok(None);
    };
    Ok(Some(Person {
        name: Name::parse(name)?,
        email: Email::parse(email)?,
        phone: phone.map(Phone::parse).transpose()?,
    }))
}
