//! E-mail: a part for each message, with its head and the names of what is attached.

use crate::book;
use crate::draft::Draft;
use crate::error::ReadError;
use crate::limits;
use crate::source::Source;
use atelier_protocol::document::{Anchor, DocumentFormat, NoticeKind};
use mail_parser::mailbox::mbox::MessageIterator;
use mail_parser::{Address, Message, MessageParser, MimeHeaders};
use std::io::Cursor;

pub(crate) fn eml(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Eml;
    let message = MessageParser::default().parse(source.whole()?);
    let message = message.filter(|message| message.headers().iter().any(|header| !header.name().is_empty()));
    let message = message.ok_or_else(|| ReadError::damaged(format)("it has no head of a message".to_owned()))?;
    draft.title = message.subject().map(str::to_owned);
    add(&message, draft, 1);
    Ok(())
}

pub(crate) fn mbox(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Mbox;
    let mut n = 0;
    for message in MessageIterator::new(Cursor::new(&source.bytes)).take(limits::ENTRIES) {
        let message = message.map_err(|error| ReadError::damaged(format)(error.to_string()))?;
        n += 1;
        match MessageParser::default().parse(message.contents()) {
            Some(message) => add(&message, draft, n),
            None => draft.notice(NoticeKind::Damaged, format!("Message {n} cannot be read.")),
        }
        if draft.is_full() {
            break;
        }
    }
    if n == 0 {
        return Err(ReadError::damaged(format)("it holds no message".to_owned()));
    }
    if source.is_cut() {
        draft.notice(NoticeKind::Cut, format!("Only the first {} MiB are read.", limits::FILE >> 20));
    }
    Ok(())
}

fn add(message: &Message<'_>, draft: &mut Draft, n: u32) {
    let subject = message.subject().unwrap_or("(no subject)").to_owned();
    let mut text = format!("## {subject}\n\n");
    let head = [("From", message.from()), ("To", message.to()), ("Cc", message.cc())];
    for (name, address) in head {
        if let Some(people) = address.map(people).filter(|people| !people.is_empty()) {
            text.push_str(&format!("- {name}: {people}\n"));
        }
    }
    if let Some(date) = message.date() {
        text.push_str(&format!("- Date: {}\n", date.to_rfc3339()));
    }
    for part in message.attachments() {
        let name = part.attachment_name().unwrap_or("(no name)");
        text.push_str(&format!("- Attached: {name}, {} bytes\n", part.len()));
    }
    text.push('\n');
    if message.text_body_count() > 0 {
        for at in 0..message.text_body_count() {
            text.push_str(&message.body_text(at).unwrap_or_default().replace("\r\n", "\n"));
        }
    } else {
        for at in 0..message.html_body_count() {
            let html = message.body_html(at).unwrap_or_default();
            text.push_str(&book::markdown(&html, draft).unwrap_or_default());
        }
    }
    draft.part(Anchor::Message { n }, Some(subject), text);
}

fn people(address: &Address<'_>) -> String {
    let one = |person: &mail_parser::Addr<'_>| match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (None, Some(address)) => address.to_owned(),
        (name, None) => name.unwrap_or_default().to_owned(),
    };
    address.iter().map(one).collect::<Vec<_>>().join(", ")
}
