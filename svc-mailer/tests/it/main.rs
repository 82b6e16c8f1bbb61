//! svc-mailer on a real stack. `make test` starts one and names it to the tests.

mod account_mail;
mod addresses;
mod ended_orders;
mod history;
mod mail_server;
mod notices;
mod payment_mail;
mod post_office;
mod records;
mod two_decisions;
mod waiting;
