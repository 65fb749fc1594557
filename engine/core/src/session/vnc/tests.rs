//! A login that is formatted while it lasts, as whoever looks for a fault would.

use std::collections::VecDeque;
use std::sync::Arc;

use penstock_proto::rfb::{Allowed, Introduction, Keys, Mode, Plan, Scheme, SchemeOrder, Subtype};
use penstock_ring::Time;

use super::*;
use crate::config::{Config, Engine};
use crate::session::facts::Facts;
use crate::sessions::Handle;

const TYPED: &str = "hunter2!";

/// One that we prove ourselves in, up to where the server's challenge is waited for.
fn gateway() -> Gateway {
    let allowed = Allowed {
        schemes: vec![Scheme::Vnc],
        subtypes: vec![Subtype::X509Vnc],
        order: SchemeOrder::Strongest,
    };
    let keys = Keys { password: Some(TYPED.into()), ..Keys::default() };
    let introduction = Introduction::new(false, None);
    let mode = Mode::Authenticate(keys);
    let plan = Plan { allowed, mode, listen: Vec::new(), introduction };
    let mut gateway = Gateway::new(plan, &mut Vec::new());
    let both = Both {
        from_client: &mut &b"RFB 003.008\n"[..],
        from_server: &mut &b"RFB 003.008\n\x01\x02"[..],
        to_client: &mut Vec::new(),
        to_server: &mut Vec::new(),
    };
    assert_eq!(gateway.step(&mut { both }), Ok(Next::Wait));
    gateway
}

fn session() -> Session {
    let leg = Leg { slot: 1, generation: 1 };
    let typed = || Opaque::from(TYPED.as_bytes().to_vec());
    let left = Left { early: typed(), ..Left::default() };
    let login = Login::new(leg, LoginStage::Gateway(Box::new(gateway())), left);
    let opening = Opening {
        stage: Stage::Login(login),
        target: None,
        door: None,
        upgrade: None,
        terms: None,
        secrets: None,
        is_recorded: false,
        local: None,
        early: typed(),
        receiving: Receiving::On,
        client_ended: false,
        requested_at: Time(0),
        dial_at: Time(0),
        deadline: Time(0),
        candidates: VecDeque::new(),
        attempts: Vec::new(),
        next_attempt: None,
    };
    Session {
        handle: Handle { slot: 0, generation: 0 },
        config: Arc::new(Config { engine: Engine::default(), listeners: Vec::new() }),
        client: leg,
        layers: Layers::default(),
        owed: [0; 2],
        started: Time(0),
        facts: Facts::new(0, [true, false], None),
        state: State::AwaitTarget(Box::new(opening)),
    }
}

#[test]
fn what_is_typed_in_a_login_is_shown_to_nobody() {
    let session = session();
    let numbers = TYPED.as_bytes()[..3].iter().map(u8::to_string).collect::<Vec<_>>();
    for shown in [format!("{session:?}"), format!("{session:#?}")] {
        assert_eq!(
            shown.matches("8 bytes").count(),
            2,
            "its length is told, of both sides: {shown}"
        );
        assert!(shown.contains("AwaitChallenge"), "{shown}");
        let words: String = shown.split_whitespace().collect();
        assert!(!shown.contains(&TYPED[..3]) && !words.contains(&numbers.join(",")), "{shown}");
    }
}
