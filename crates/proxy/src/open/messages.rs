//! Messages of subscriptions: an array or push message of a word, a pattern in some of them, a channel and a payload.

use waxseal_resp::{Item, Items, Kind};

/// The parts of a message, whatever its payload is.
pub(crate) struct MessageParts<'m> {
    /// The head of the array and the word.
    pub(crate) start: &'m [u8],
    /// The pattern that the server has found the subscription by.
    pub(crate) pattern: Option<&'m [u8]>,
    pub(crate) channel: &'m [u8],
    /// The bytes of the payload, with everything in it.
    pub(crate) payload: &'m [u8],
}

impl<'m> MessageParts<'m> {
    /// Reads a whole message: one of a subscription, or a push message of a word and a payload, which is in no channel.
    /// `None` if it is neither.
    pub(crate) fn of(whole: &'m [u8]) -> Option<Self> {
        let mut items = Items::of(whole);
        let head = items.next().ok()??;
        let (Kind::Array(parts) | Kind::Push(parts)) = head.kind else {
            return None;
        };
        let word = items.next().ok()??;
        let start = head.raw.len().saturating_add(word.raw.len());
        let start = whole.get(..start)?;
        let mut text = || {
            let item = items.next().ok()??;
            (item.kind == Kind::Bulk).then_some(item.text)
        };
        let (pattern, channel) = match (word.text, parts) {
            (b"message" | b"smessage", 3) => (None, text()?),
            (b"pmessage", 4) => (Some(text()?), text()?),
            (_, 2) => (None, &[][..]),
            _ => return None,
        };
        let payload = items.skip().ok()?;
        matches!(items.next(), Ok(None)).then_some(Self {
            start,
            pattern,
            channel,
            payload,
        })
    }
}

/// A message as a server delivers it.
pub(crate) struct Message<'m> {
    pub(crate) channel: &'m [u8],
    /// Everything before the payload.
    pub(crate) head: &'m [u8],
    pub(crate) payload: Item<'m>,
}

impl<'m> Message<'m> {
    /// Reads a whole message whose payload is a string. `None` if it is another one.
    pub(crate) fn of(whole: &'m [u8]) -> Option<Self> {
        let mut items = Items::of(whole);
        let channel = next_channel(&mut items)?;
        let payload = items.next().ok()??;
        let is_last = matches!(items.next(), Ok(None));
        let head = whole.len().checked_sub(payload.raw.len())?;
        (payload.kind == Kind::Bulk && is_last).then_some(Self {
            channel,
            head: whole.get(..head)?,
            payload,
        })
    }
}

/// The channel of the message that begins with these bytes. `None` if they do not hold it, or are not those of a message.
pub(crate) fn channel(bytes: &[u8]) -> Option<&[u8]> {
    next_channel(&mut Items::of(bytes))
}

/// The pattern through which a message was found that begins with these bytes.
pub(crate) fn pattern(bytes: &[u8]) -> Option<&[u8]> {
    let mut items = Items::of(bytes);
    items.next().ok()??;
    let word = items.next().ok()??.text;
    let pattern = items.next().ok()??;
    (word == b"pmessage" && pattern.kind == Kind::Bulk).then_some(pattern.text)
}

/// The channel of the message at the beginning of these elements.
fn next_channel<'m>(items: &mut Items<'m>) -> Option<&'m [u8]> {
    let (Kind::Array(parts) | Kind::Push(parts)) = items.next().ok()??.kind else {
        return None;
    };
    let word = items.next().ok()??.text;
    match (word, parts) {
        (b"message" | b"smessage", 3) => {}
        // The pattern that the client subscribed to.
        (b"pmessage", 4) => {
            items.skip().ok()?;
        }
        _ => return None,
    }
    let channel = items.next().ok()??;
    (channel.kind == Kind::Bulk).then_some(channel.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_split_before_its_payload() {
        for (whole, channel) in [
            ("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", "c"),
            (">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$2\r\nhi\r\n", "s"),
            (
                "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$2\r\nn1\r\n$2\r\nhi\r\n",
                "n1",
            ),
        ] {
            let message = Message::of(whole.as_bytes()).unwrap();
            assert_eq!(message.channel, channel.as_bytes());
            assert_eq!(message.payload.text, b"hi");
            assert_eq!(
                [message.head, message.payload.raw].concat(),
                whole.as_bytes()
            );
            assert_eq!(super::channel(message.head), Some(channel.as_bytes()));
        }
    }

    #[test]
    fn anything_else_is_no_message_with_a_payload() {
        for other in [
            "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n*1\r\n$2\r\nhi\r\n",
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
            "*4\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n:1\r\n",
            "*3\r\n$7\r\nmessage\r\n:1\r\n$2\r\nhi\r\n",
            "+OK\r\n",
        ] {
            assert!(Message::of(other.as_bytes()).is_none(), "{other}");
        }
        // The beginning of one that has not arrived.
        assert_eq!(channel(b"*3\r\n$7\r\nmessage\r\n$4\r\nch"), None);
    }
}
