//! What a mail server may answer, and what it means. The server is a script on a port of this machine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use platform::clock::Timestamp;
use platform::http::Language;
use platform::ids::new_id;
use svc_mailer::config::SmtpConfig;
use svc_mailer::render::Mail;
use svc_mailer::smtp::{Outgoing, Refusal, Smtp};

/// What the server does when it is given a command; for others it is content.
type Script = &'static [(&'static str, &'static str)];

/// An answer that is none: the server hangs up.
const HANG_UP: &str = "";

fn server(script: Script) -> anyhow::Result<Smtp> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, script));
        }
    });
    client(&address.to_string())
}

fn serve(mut stream: TcpStream, script: Script) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let answer = |command: &str, default: &'static str| {
        let scripted = script
            .iter()
            .find(|(scripted, _)| command.starts_with(scripted));
        scripted.map_or(default, |(_, answer)| answer)
    };
    writeln!(stream, "{}\r", answer("connect", "220 ready"))?;
    while let Some(line) = lines.next().transpose()? {
        let reply = answer(
            &line,
            if line == "DATA" {
                "354 go on"
            } else {
                "250 fine"
            },
        );
        if reply == HANG_UP {
            return Ok(());
        }
        writeln!(stream, "{reply}\r")?;
        if line == "DATA" && reply.starts_with('3') {
            while lines.next().transpose()?.is_some_and(|line| line != ".") {}
            writeln!(stream, "{}\r", answer("dot", "250 queued"))?;
        }
    }
    Ok(())
}

fn client(address: &str) -> anyhow::Result<Smtp> {
    let settings = [
        ("SMTP_URL", format!("smtp://{address}")),
        ("MAIL_FROM", "a@example.com".into()),
    ];
    Ok(Smtp::new(
        &platform::config::Env::from_map(settings).read(SmtpConfig::from_env)?,
    ))
}

fn mail() -> Outgoing {
    Outgoing {
        id: new_id(),
        name: "Bob".into(),
        address: "bob@example.com".into(),
        date: Timestamp::EPOCH,
        mail: Mail {
            language: Language::En,
            subject: "Hello".into(),
            text: "Hello".into(),
            html: "<p>Hello</p>".into(),
            kept_text: "Hello".into(),
        },
    }
}

#[tokio::test]
async fn answers_mean_what_the_standard_says() -> anyhow::Result<()> {
    let permanent = |reason: &str| Err(Refusal::Permanent(reason.to_owned()));
    let temporary = |reason: &str| Err(Refusal::Temporary(reason.to_owned()));
    let away = |reason: &str| Err(Refusal::Away(reason.to_owned()));
    let cases: [(Script, Result<(), Refusal>); 6] = [
        (&[], Ok(())),
        (
            &[("RCPT", "550 5.1.1 <bob@example.com> who?")],
            permanent("smtp 550 5.1.1"),
        ),
        (
            &[("RCPT", "450 4.2.0 greylisted")],
            temporary("smtp 450 4.2.0"),
        ),
        (&[("dot", "452 4.3.1 full")], temporary("smtp 452 4.3.1")),
        (&[("connect", "421 busy")], away("smtp 421")),
        // The server is well: it is this mail that it chokes on.
        (&[("MAIL", "500 5.5.2 what?")], temporary("smtp 500 5.5.2")),
    ];
    for (script, expected) in cases {
        assert_eq!(server(script)?.send(mail()).await, expected, "{script:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_up_on_one_mail_only_does_not_stop_the_others() -> anyhow::Result<()> {
    let sent = server(&[("DATA", HANG_UP)])?.send(mail()).await;
    assert!(matches!(sent, Err(Refusal::Temporary(_))), "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away() -> anyhow::Result<()> {
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let sent = client(&free.to_string())?.send(mail()).await;
    assert!(matches!(sent, Err(Refusal::Away(_))), "{sent:?}");
    Ok(())
}
