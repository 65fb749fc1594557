//! Which pool buffers fit what comes: a message costs less in one piece than in many, and small ones need not pin large
//! buffers.

use penstock_ring::Group;

/// Fewer buffers of a group than this are left to those who have them in hand: stuck directions must not leave the others
/// without.
const fn spare_min(group: Group) -> usize {
    match group {
        Group::Bulk => 16,
        Group::Reserve | Group::Small | Group::Record => 512,
    }
}

/// The largest group that a direction may change to, by which of them suit, and by how many buffers of each nobody holds.
pub(super) fn largest(
    plain: bool,
    suits: impl Fn(Group) -> bool,
    spare: impl Fn(Group) -> usize,
) -> Group {
    let enough = |group: &Group| spare(*group) >= spare_min(*group) && suits(*group);
    // Records that come in pieces cost a copy each: the more at once, the fewer.
    let groups: &[Group] = if plain { &[Group::Record] } else { &[Group::Bulk, Group::Record] };
    groups.iter().copied().find(enough).unwrap_or(Group::Small)
}

/// So many points change the group.
const SCORE: u8 = 16;

/// How well a direction's buffers have fitted lately: no point, well.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fit {
    score: u8,
}

impl Fit {
    /// So many bytes came in a buffer of `group`. The group that would fit better, once that is clear; none is larger than
    /// `largest`.
    pub(super) fn received(&mut self, group: Group, bytes: usize, largest: Group) -> Option<Group> {
        if group > largest {
            self.score = 0;
            return Some(largest);
        }
        let full = bytes >= group.capacity() && group < largest;
        let small = bytes < Group::Small.capacity() && group > Group::Small;
        // Growing is the easy way: one message may end in a piece that is not full.
        let (up, down) = if group == Group::Small { (2, 1) } else { (1, 2) };
        self.score = if full || small { self.score + up } else { self.score.saturating_sub(down) };
        (self.score >= SCORE).then(|| {
            self.score = 0;
            if full { largest } else { Group::Small }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The group after messages of so many bytes, in the clear.
    fn after(first: Group, messages: &[usize]) -> Group {
        after_within(first, messages, Group::Record)
    }

    fn after_within(first: Group, messages: &[usize], largest: Group) -> Group {
        let (mut fit, mut group) = (Fit::default(), first);
        for message in messages {
            let mut left = *message;
            while left > 0 {
                let piece = left.min(group.capacity());
                group = fit.received(group, piece, largest).unwrap_or(group);
                left -= piece;
            }
        }
        group
    }

    #[test]
    fn heavy_messages_get_large_buffers_and_small_ones_small() {
        for heavy in [5000, 8192, 16384, 65536] {
            assert_eq!(after(Group::Small, &[heavy; 16]), Group::Record, "{heavy}");
            assert_eq!(after(Group::Record, &[heavy; 1000]), Group::Record, "{heavy}");
        }
        for light in [1, 64, 4095] {
            assert_eq!(after(Group::Small, &[light; 1000]), Group::Small, "{light}");
            assert_eq!(after(Group::Record, &[light; 16]), Group::Small, "{light}");
        }
    }

    #[test]
    fn a_short_pool_has_small_buffers_only() {
        let spare = |left: usize| move |group| if group == Group::Bulk { left } else { left * 32 };
        let any = |_| true;
        assert_eq!([true, false].map(|plain| largest(plain, any, spare(15))), [Group::Small; 2]);
        assert_eq!(largest(true, any, spare(16)), Group::Record);
        assert_eq!(largest(false, any, spare(16)), Group::Bulk);
        let bulk_is_short = |group| if group == Group::Bulk { 15 } else { 512 };
        assert_eq!(largest(false, any, bulk_is_short), Group::Record);
        assert_eq!(largest(false, |group| group == Group::Record, spare(16)), Group::Record);
        assert_eq!(largest(false, |_| false, spare(16)), Group::Small);
        let mut fit = Fit::default();
        assert!((0..1000).all(|_| fit.received(Group::Small, 4096, Group::Small).is_none()));
        assert_eq!(fit.received(Group::Record, 16384, Group::Small), Some(Group::Small));
        assert_eq!(fit.received(Group::Bulk, 65536, Group::Record), Some(Group::Record));
    }

    #[test]
    fn bulk_through_layers_gets_the_largest() {
        assert_eq!(after_within(Group::Small, &[65536; 16], Group::Bulk), Group::Bulk);
        assert_eq!(after_within(Group::Record, &[65536; 16], Group::Bulk), Group::Bulk);
        assert_eq!(after_within(Group::Bulk, &[65536; 1000], Group::Bulk), Group::Bulk);
        assert_eq!(after_within(Group::Bulk, &[64; 16], Group::Bulk), Group::Small);
    }

    #[test]
    fn one_heavy_message_changes_nothing() {
        assert_eq!(after(Group::Small, &[16384, 64, 64, 64, 64, 64]), Group::Small);
        assert_eq!(after(Group::Record, &[64, 64, 16384, 64, 64]), Group::Record);
    }
}
