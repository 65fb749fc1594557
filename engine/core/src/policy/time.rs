//! Times of the week in Squid's notation: `[days] [h1:m1-h2:m2]`, in local time.

use super::error::{Problem, ValueError, each};
use std::ops::RangeInclusive;

/// Any of its spans.
#[derive(Debug, Default)]
pub(super) struct TimeSet(Vec<Span>);

#[derive(Debug)]
struct Span {
    /// Bit 0 is Sunday.
    days: u8,
    /// Since midnight; both ends are in.
    minutes: RangeInclusive<u16>,
}

const EVERY_DAY: u8 = 0b111_1111;
const WHOLE_DAY: RangeInclusive<u16> = 0..=24 * 60;

impl TimeSet {
    pub(super) fn parse<V: AsRef<str>>(values: &[V]) -> Result<Self, ValueError> {
        let mut spans = Vec::new();
        each(values, |value| parse_spans(value, &mut spans))?;
        Ok(Self(spans))
    }

    /// Days since Sunday, minutes since midnight.
    pub(super) fn contains(&self, (weekday, minute): (u8, u16)) -> bool {
        let is_day = |span: &Span| weekday < 7 && span.days >> weekday & 1 == 1;
        self.0.iter().any(|span| is_day(span) && span.minutes.contains(&minute))
    }
}

/// Days apply to the range behind them; days without a range are whole days.
fn parse_spans(value: &str, spans: &mut Vec<Span>) -> Result<(), Problem> {
    let before = spans.len();
    let mut days = 0;
    for word in value.split_ascii_whitespace() {
        match word.split_once('-') {
            None => days |= parse_days(word)?,
            Some((start, end)) => {
                let minutes = parse_minute(start)?..=parse_minute(end)?;
                if minutes.is_empty() {
                    return Err(Problem::Backwards);
                }
                spans.push(Span { days: if days == 0 { EVERY_DAY } else { days }, minutes });
                days = 0;
            }
        }
    }
    if days != 0 {
        spans.push(Span { days, minutes: WHOLE_DAY });
    }
    if spans.len() == before { Err(Problem::Time) } else { Ok(()) }
}

fn parse_days(word: &str) -> Result<u8, Problem> {
    word.bytes().try_fold(0, |days, letter| {
        let day = match letter {
            b'S' => 0b000_0001,
            b'M' => 0b000_0010,
            b'T' => 0b000_0100,
            b'W' => 0b000_1000,
            b'H' => 0b001_0000,
            b'F' => 0b010_0000,
            b'A' => 0b100_0000,
            b'D' => 0b011_1110,
            _ => return Err(Problem::Time),
        };
        Ok(days | day)
    })
}

fn parse_minute(text: &str) -> Result<u16, Problem> {
    let number = |text: &str| {
        let is_number = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number).ok_or(Problem::Time)
    };
    let (hour, minute) = text.split_once(':').ok_or(Problem::Time)?;
    match (number(hour)?, number(minute)?) {
        (hour @ 0..24, minute @ 0..60) => Ok(hour * 60 + minute),
        (24, 0) => Ok(24 * 60),
        _ => Err(Problem::Time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u16 = 12 * 60;

    fn set(value: &str) -> TimeSet {
        TimeSet::parse(&[value]).unwrap()
    }

    #[test]
    fn letters_are_days() {
        for (letters, days) in
            [("S", &[0][..]), ("MTW", &[1, 2, 3]), ("HFA", &[4, 5, 6]), ("D", &[1, 2, 3, 4, 5])]
        {
            let matching: Vec<u8> =
                (0..8).filter(|day| set(letters).contains((*day, NOON))).collect();
            assert_eq!(matching, days, "{letters}");
        }
    }

    #[test]
    fn both_ends_of_a_range_are_in() {
        let set = set("08:30-17:00");
        let inside: Vec<u16> = (0..1440).filter(|minute| set.contains((3, *minute))).collect();
        assert_eq!((inside[0], inside.len()), (8 * 60 + 30, 8 * 60 + 31));
        assert_eq!(inside.last(), Some(&(17 * 60)));
    }

    #[test]
    fn days_belong_to_the_range_behind_them() {
        let set = set("M 08:00-09:00 TW 10:00-24:00 A");
        let matches = |day: u8, hour: u16| set.contains((day, hour * 60));
        assert!(matches(1, 8) && !matches(1, 10) && !matches(2, 8) && matches(3, 23));
        assert!(matches(6, 0) && matches(6, 23) && !matches(0, 12));
        assert!(TimeSet::parse(&["S", "8:00-9:00"]).unwrap().contains((4, 8 * 60)));
    }

    #[test]
    fn each_problem_is_named() {
        for value in
            ["", " ", "X", "m", "8:00", "08:00-", "08:00-25:00", "08:60-09:00", "24:01-24:02"]
        {
            assert_eq!(TimeSet::parse(&[value]).unwrap_err().problem, Problem::Time, "{value}");
        }
        let wrapped = TimeSet::parse(&["22:00-06:00"]).unwrap_err();
        assert_eq!(wrapped.problem, Problem::Backwards);
    }
}
