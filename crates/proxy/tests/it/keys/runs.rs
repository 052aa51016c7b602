//! Computed commands and moves whose keys get out of reach after their values were read.

use std::sync::atomic::Ordering;

use crate::keyed::{Conversation, World};
use crate::pair::{arguments, text};

#[test]
fn a_command_that_has_lost_its_keys_is_over_and_the_next_one_begins_anew() {
    for (line, value, next, record) in [
        ("INCR rg:1", "@rg:1=7", "INCR rg:3", "rg:3"),
        (
            "RENAME rg:1 rg:2",
            "*2 'string *1 @rg:1=v",
            "RENAME rg:3 rg:4",
            "rg:3",
        ),
    ] {
        let world = World::new();
        let value = world.reply(value);
        let mut conversation = Conversation::of(&world.process());
        conversation.send(&[line]);
        assert_eq!(arguments(&conversation.sent()).len(), 1, "the read");
        world.clock.fetch_add(7 * 24 * 3_600_000, Ordering::SeqCst);
        world.ring_store.set_out_of_reach(true);
        conversation.answer(&value);
        let got = conversation.got();
        assert!(got.starts_with("-SEALNOKEY "), "{got}");
        assert!(conversation.sent().is_empty(), "nothing is written");
        assert!(conversation.connection.is_idle());
        world.ring_store.set_out_of_reach(false);
        conversation.send(&[next]);
        let sent = arguments(&conversation.sent());
        let words: Vec<String> = sent.concat().iter().map(|word| text(word)).collect();
        assert!(words.iter().any(|word| word == record), "{words:?}");
        assert_eq!(conversation.got(), "");
    }
}
