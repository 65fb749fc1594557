//! The keys of an English keyboard as DevTools events: a character in, presses and releases out.

use serde_json::{Value, json};

/// A key: its name, its place, its old number, its text, and whether Shift is held.
struct Key {
    key: String,
    code: String,
    number: u32,
    text: Option<String>,
    shifted: bool,
}

/// What happens when a character is typed.
pub(super) fn of(character: char) -> Vec<Value> {
    let shifted = character.is_ascii_uppercase();
    let upper = character.to_ascii_uppercase();
    let (key, code, number) = match character {
        'a'..='z' | 'A'..='Z' => (character.to_string(), format!("Key{upper}"), upper as u32),
        '0'..='9' => (character.to_string(), format!("Digit{character}"), character as u32),
        ' ' => (" ".to_owned(), "Space".to_owned(), 32),
        '-' => ("-".to_owned(), "Minus".to_owned(), 189),
        '.' => (".".to_owned(), "Period".to_owned(), 190),
        '\r' => ("Enter".to_owned(), "Enter".to_owned(), 13),
        other => panic!("which key is {other:?}?"),
    };
    events(&Key { key, code, number, text: Some(character.to_string()), shifted })
}

/// What happens when F1 is typed.
pub(super) fn f1() -> Vec<Value> {
    let f1 = || "F1".to_owned();
    events(&Key { key: f1(), code: f1(), number: 112, text: None, shifted: false })
}

fn events(key: &Key) -> Vec<Value> {
    let modifiers = if key.shifted { 8 } else { 0 };
    let event = |kind: &str| {
        json!({
            "type": kind, "key": key.key, "code": key.code, "windowsVirtualKeyCode": key.number,
            "modifiers": modifiers,
        })
    };
    let mut down = event(if key.text.is_some() { "keyDown" } else { "rawKeyDown" });
    if let Some(text) = &key.text {
        down["text"] = text.as_str().into();
    }
    let shift = |kind: &str, modifiers: u32| {
        json!({
            "type": kind, "key": "Shift", "code": "ShiftLeft", "windowsVirtualKeyCode": 16,
            "modifiers": modifiers,
        })
    };
    let pressed = [down, event("keyUp")];
    match key.shifted {
        false => pressed.into(),
        true => [vec![shift("rawKeyDown", 8)], pressed.into(), vec![shift("keyUp", 0)]].concat(),
    }
}
