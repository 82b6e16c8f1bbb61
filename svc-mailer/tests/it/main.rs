//! svc-mailer on a real stack. `make test` starts one and names it to the tests.

mod account_mail;
mod addresses;
mod ended_orders;
mod group;
mod history;
mod mail_server;
mod no_brokers;
mod notices;
mod partitions;
mod payment_mail;
mod post_office;
mod records;
mod side_by_side;
mod two_decisions;
mod waiting;
