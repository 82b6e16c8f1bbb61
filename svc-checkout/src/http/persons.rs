//! People in the bodies of requests.

use platform::http::{Code, Problem};
use platform::person::NotAllowed;
use platform::person::email::Email;
use platform::person::name::Name;
use platform::person::phone::Phone;

use crate::domain::guest::Person;

/// Who somebody is, by the fields `name`, `email` and `phone` of a body; 422 with all that is wrong.
pub fn person(name: &str, email: &str, phone: Option<&str>) -> Result<Person, Problem> {
    let mut problem = Problem::new(Code::Invalid);
    let mut wrong = |pointer: &'static str, error: NotAllowed| {
        let so_far = std::mem::replace(&mut problem, Problem::new(Code::Invalid));
        problem = so_far.field(pointer, error.rule, error.allowed);
    };
    let name = Name::parse(name).map_err(|error| wrong("/name", error));
    let email = Email::parse(email).map_err(|error| wrong("/email", error));
    let phone = phone.map(Phone::parse).transpose();
    let phone = phone.map_err(|error| wrong("/phone", error));
    match (name, email, phone) {
        (Ok(name), Ok(email), Ok(phone)) => Ok(Person { name, email, phone }),
        _ => Err(problem),
    }
}
